"""What pgops says of pgBackRest agrees with what a real pgBackRest does."""
