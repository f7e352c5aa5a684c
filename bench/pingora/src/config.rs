//! What the benchmark starts the proxy with.

use serde::Deserialize;

/// Names of files are empty where there is no TLS.
#[derive(Deserialize)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: String,
    /// Threads that serve requests.
    pub threads: usize,
    /// Idle connections to backends that are kept.
    pub idle: usize,
    /// PEM files for TLS in front.
    pub cert: String,
    pub key: String,
    /// Addresses of the backends.
    pub upstreams: Vec<String>,
    /// PEM file of whom to trust when TLS is spoken to the backends.
    pub ca: String,
    /// Whom the backends' certificates are for.
    pub server_name: String,
    /// Choose by a consistent hash of the path, instead of in turn.
    pub consistent: bool,
    /// Hosts with backends of their own.
    pub sites: Option<Vec<String>>,
}
