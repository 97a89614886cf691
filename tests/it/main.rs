//! Everything that is tested from outside: one binary, so that it links once.

mod fuzz;
mod golden;
mod recordings;
mod repository;
