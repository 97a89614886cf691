//! Tests of the whole, one file per subject, in one binary.

mod repository;
