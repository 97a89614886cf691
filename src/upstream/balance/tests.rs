//! What every policy keeps, and what each promises.
