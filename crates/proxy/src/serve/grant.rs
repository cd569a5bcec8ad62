//! Decides about a CONNECT.

use std::sync::Arc;

use ::http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::refusal::Refusal;
use super::reverse_origins::ReverseOrigins;
use super::target;
use crate::body::Body;
use crate::engine::{ClientConnection, OwnPort};
use crate::handler::{Connection, Tunnel};
use crate::origin::Origin;
use crate::upstream::Dialled;

/// A CONNECT that was answered with 200.
pub(crate) struct GrantedConnect {
    pub(crate) to: Origin,
    pub(crate) connection: Connection,
    pub(crate) target: TunnelTarget,
}

/// The use of a tunnel.
pub(crate) enum TunnelTarget {
    Intercept(Option<Dialled>),
    PassThrough(Dialled),
    /// A `--reverse` port of the engine itself.
    Reverse(Arc<ReverseOrigins>),
}

/// Asks the handler about a CONNECT. Returns the response, and for a 200 the granted CONNECT.
pub(super) async fn connect(
    client: &ClientConnection,
    connection: Connection,
    mut request: Request<Incoming>,
) -> Result<(Response<Body>, Option<(GrantedConnect, OnUpgrade)>), Refusal> {
    if request.version() >= Version::HTTP_2 {
        return Err(Refusal::NoTunnel("CONNECT over HTTP/2 is not supported; use HTTP/1.1 towards the proxy."));
    }
    let to = target::connect_origin(request.uri())?;
    let target = match client.engine.own_port(client.local, &to.host, to.port) {
        Some(OwnPort::Proxy) => return Err(Refusal::Loop(client.engine.proxy)),
        Some(OwnPort::Reverse(origins)) => TunnelTarget::Reverse(origins.clone()),
        None => match client.engine.handler.tunnel(&connection, &to).await {
            Tunnel::Intercept(dialled) => TunnelTarget::Intercept(dialled),
            Tunnel::PassThrough(dialled) => TunnelTarget::PassThrough(dialled),
            Tunnel::Refuse(response) => return Ok((response, None)),
        },
    };
    let upgrade = hyper::upgrade::on(&mut request);
    Ok((Response::new(Body::default()), Some((GrantedConnect { to, connection, target }, upgrade))))
}
