//! The cluster DNS: answers for the cluster domain from the latest view, and
//! refuses everything else, because it forwards to nobody.

mod answer;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use foreshore_sys::Ground;
use hickory_proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};
use tracing::{debug, info, warn};

use crate::view::Views;
use answer::Answer;

/// A client that says nothing for this long is cut off.
const IDLE: Duration = Duration::from_secs(10);
/// Answers waiting per connection.
const ANSWERS: usize = 64;
/// Wait before the address is tried again.
const REBIND: Duration = Duration::from_secs(1);

/// Serves on `address` in the ground, for ever.
pub(crate) async fn run(ground: Ground, address: SocketAddr, views: Views) {
    let mut server = loop {
        match bind(&ground, address, views.clone()) {
            Ok(server) => break server,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, %address, "DNS address is not free; will retry");
                tokio::time::sleep(REBIND).await;
            }
        }
    };
    info!(%address, "cluster DNS opened");
    if let Err(error) = server.block_until_done().await {
        warn!(
            error = &error as &dyn std::error::Error,
            "cluster DNS ended"
        );
    }
}

fn bind(ground: &Ground, address: SocketAddr, views: Views) -> io::Result<Server<Handler>> {
    let datagrams = UdpSocket::from_std(ground.udp_socket(address)?)?;
    let streams = TcpListener::from_std(ground.tcp_listener(address)?)?;
    Ok(serve(datagrams, streams, views))
}

fn serve(datagrams: UdpSocket, streams: TcpListener, views: Views) -> Server<Handler> {
    let mut server = Server::new(Handler { views });
    server.register_socket(datagrams);
    server.register_listener(streams, IDLE, ANSWERS);
    server
}

pub(crate) struct Handler {
    views: Views,
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let view = self.views.borrow().clone();
        let answer = match request.request_info() {
            Ok(info) => answer::answer(view.as_deref().map(|view| &view.zone), info.query),
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "query is not understood"
                );
                Answer::failure(ResponseCode::FormErr)
            }
        };
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = answer.code;
        metadata.authoritative = answer.is_authoritative();
        let response = MessageResponseBuilder::from_message_request(request).build(
            metadata,
            &answer.records,
            &[],
            &answer.start_of_authority,
            &answer.additional,
        );
        match response_handle.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "answer was not sent"
                );
                let counts = HeaderCounts::default();
                ResponseInfo::from(Header { metadata, counts })
            }
        }
    }
}
