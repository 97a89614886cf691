//! The page: the life of a request, from the caller's head to the closed ledger.
