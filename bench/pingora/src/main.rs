//! A load balancer on Pingora as small as its own example, as a peer of the side-by-side benchmark. It is started with
//! the name of a JSON file and does what the other peers are configured to do: balance in turn or by a consistent
//! hash of the path, and send X-Forwarded-For, -Proto and -Host.

mod config;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::lb::selection::{Consistent, RoundRobin};
use pingora::lb::{Backend, LoadBalancer};
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::protocols::tls::CaType;
use pingora::proxy::{http_proxy_service, ProxyHttp, Session};
use pingora::server::configuration::ServerConf;
use pingora::tls::ssl::SslVersion;
use pingora::tls::x509::X509;

use config::Config;

/// How many backends a search may look at. All are healthy here, so that the first one is taken.
const MAX_ITERATIONS: usize = 256;

/// The two ways of choosing a backend that the benchmark asks for.
enum Balancer {
    Turn(LoadBalancer<RoundRobin>),
    Ring(LoadBalancer<Consistent>),
}

impl Balancer {
    fn new(config: &Config) -> std::io::Result<Self> {
        Ok(if config.consistent {
            Balancer::Ring(LoadBalancer::try_from_iter(&config.upstreams)?)
        } else {
            Balancer::Turn(LoadBalancer::try_from_iter(&config.upstreams)?)
        })
    }

    fn select(&self, path: &[u8]) -> Option<Backend> {
        match self {
            Balancer::Turn(lb) => lb.select(b"", MAX_ITERATIONS),
            Balancer::Ring(lb) => lb.select(path, MAX_ITERATIONS),
        }
    }
}

struct Proxy {
    all: Balancer,
    /// Balancers of single hosts; when there are any, other hosts get an error.
    sites: HashMap<String, Balancer>,
    tls: bool,
    /// Whom to trust behind, when TLS is spoken there.
    ca: Option<Arc<CaType>>,
    server_name: String,
}

impl Proxy {
    fn new(config: &Config) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let ca = match config.ca.as_str() {
            "" => None,
            file => Some(X509::from_pem(&std::fs::read(file)?)?),
        };
        let mut sites = HashMap::new();
        for host in config.sites.iter().flatten() {
            sites.insert(host.clone(), Balancer::new(config)?);
        }
        Ok(Proxy {
            all: Balancer::new(config)?,
            sites,
            tls: !config.cert.is_empty(),
            ca: ca.map(|cert| Arc::new(vec![cert].into_boxed_slice())),
            server_name: config.server_name.clone(),
        })
    }
}

/// The host asked for: a field in HTTP/1.1, the authority in HTTP/2.
fn host(request: &RequestHeader) -> &str {
    match request.headers.get("Host") {
        Some(value) => value.to_str().unwrap_or_default(),
        None => request.uri.host().unwrap_or_default(),
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        let request = session.req_header();
        let balancer = if self.sites.is_empty() {
            &self.all
        } else {
            self.sites
                .get(host(request))
                .ok_or_else(|| Error::explain(HTTPStatus(404), "no such site"))?
        };
        let backend = balancer
            .select(request.uri.path().as_bytes())
            .ok_or_else(|| Error::explain(HTTPStatus(503), "no backend"))?;
        let mut peer = HttpPeer::new(backend, self.ca.is_some(), self.server_name.clone());
        peer.options.ca = self.ca.clone();
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        _ctx: &mut (),
    ) -> Result<()> {
        if let Some(client) = session.client_addr().and_then(|addr| addr.as_inet()) {
            upstream.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        upstream.insert_header("X-Forwarded-Proto", if self.tls { "https" } else { "http" })?;
        let host = host(session.req_header());
        upstream.insert_header("X-Forwarded-Host", host)?;
        upstream.insert_header("Host", host)
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args()
        .nth(1)
        .ok_or("usage: bench-pingora <config.json>")?;
    let config: Config = serde_json::from_slice(&std::fs::read(file)?)?;
    let conf = ServerConf {
        threads: config.threads,
        upstream_keepalive_pool_size: config.idle,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Proxy::new(&config)?);
    if config.cert.is_empty() {
        service.add_tcp(&config.listen);
    } else {
        let mut tls = TlsSettings::intermediate(&config.cert, &config.key)?;
        tls.set_min_proto_version(Some(SslVersion::TLS1_3))?;
        tls.set_ciphersuites("TLS_AES_128_GCM_SHA256")?;
        tls.enable_h2();
        service.add_tls_with_settings(&config.listen, None, tls);
    }
    server.add_service(service);
    server.run_forever();
}
