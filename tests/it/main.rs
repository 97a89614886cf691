//! Everything that is tested from outside: one binary, so that it links once.
//!
//! `cfg(test)` is always true here; it tells the lints that these are tests.

#[cfg(test)]
mod attempts;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod books;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod crossing;
#[cfg(test)]
mod deadlines;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod estimating;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod folding;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod items;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod legal;
#[cfg(test)]
mod models;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tail;
#[cfg(test)]
mod translating;
#[cfg(test)]
mod travelling;
