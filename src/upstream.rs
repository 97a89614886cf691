//! One authority with its pool of connections. Knows neither JSON nor dialects.
