//! The one integration binary; each area is a module.

mod fuzz;
mod golden;
mod recordings;
