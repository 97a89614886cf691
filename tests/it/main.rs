//! Everything that is tested from outside: one binary, so that it links once.

mod bodies;
mod callers;
mod deadlines;
mod failures;
mod fuzz;
mod golden;
mod harness;
mod leaving;
mod recordings;
mod repository;
mod streams;
