"""Parts of the constant sh scripts that run on hosts. Data reaches a script as positional arguments only."""

from __future__ import annotations

FIND_HOME = """
# $found is $1 with the home of whoever runs this in place of "~"; false where $1 does not begin so. runuser keeps HOME.
find_home() {
    case $1 in '~/'*) ;; *) return 1 ;; esac
    found=$(getent passwd "$(id -u)") || fail "no home directory of user $(id -u)"
    found=${found%:*}
    found=${found##*:}/${1#??}
}
"""

MAKE_PRIVATE = """
# Makes the directory $1, for us alone. Leaves our user's number in $me. Refuses a symbolic link and another's directory.
make_private() {
    me=$(id -u)
    [ -d "$1" ] || mkdir -p -- "$1" || fail "$1 cannot be made"
    [ "$(stat -c '%u %A' -- "$1")" = "$me drwx------" ] || fail "$1 is not a directory of ours with mode 0700"
}
"""
"""Both want `fail`, which takes a clause, says it and exits; and a umask of 077."""
