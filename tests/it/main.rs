//! Everything that is tested from outside: one binary, so that it links once.

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod recordings;
mod repository;
