//! What is told to the log: the access line and the program's own words.
