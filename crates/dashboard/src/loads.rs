//! Load runs that the server was told of, kept fresh for all pages at once.

use std::sync::Arc;
use std::time::Duration;

use foreshore_identity::Principal;
use foreshore_model::api::Problem;
use foreshore_model::api::load::Loads;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::desk::Desk;

/// The server answers earlier when word of a run comes.
const WAIT_SECONDS: u64 = 25;
const RETRY: Duration = Duration::from_secs(2);

/// Follows the server until shutdown.
pub(crate) async fn follow(
    desk: Desk,
    reader: Principal,
    board: Arc<Board>,
    sender: watch::Sender<Arc<Loads>>,
    shutdown: CancellationToken,
) {
    loop {
        let path = format!(
            "/api/v1/loads?after={}&timeout={WAIT_SECONDS}",
            sender.borrow().version
        );
        let read = tokio::select! {
            read = desk.get::<Loads>(&reader, &path) => read,
            () = shutdown.cancelled() => return,
        };
        match read {
            Ok(loads) => {
                let changed = sender.borrow().version != loads.version;
                sender.send_replace(Arc::new(loads));
                if changed {
                    board.wake();
                }
            }
            Err(Problem { message, .. }) => {
                tracing::warn!(error = message, "pages cannot read load runs; will retry");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = shutdown.cancelled() => return,
                }
            }
        }
    }
}
