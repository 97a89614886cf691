//! nowait stands between an application and the LLM APIs it calls, and takes
//! the waiting out.
//!
//! Start reading at [`gateway`]: the life of a request is one page there. The
//! direction of dependency is `cli → server → gateway → {cache, upstream, config}
//! → {provider, sim} → dialect → {sse, http1, error, metrics}`, and a test holds it.

pub mod batch;
pub mod cache;
pub mod cli;
pub mod config;
pub mod dialect;
pub mod error;
pub mod gateway;
pub mod http1;
pub mod metrics;
pub mod provider;
pub mod server;
pub mod sim;
pub mod sse;
pub mod telemetry;
pub mod upstream;
