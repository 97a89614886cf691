//! What the format does beyond what every format must.
