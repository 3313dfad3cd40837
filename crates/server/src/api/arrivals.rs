//! `POST /arrivals`: let policies act on an artifact that is in the registry.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use foreshore_config_repo::Answer;
use foreshore_model::api::{ArrivalAnswer, ArrivalRequest, Withheld};
use foreshore_model::{Digest, Intent, ServiceName};
use foreshore_release::{Arrival, Selected, arrival, decide};

use super::body::Body;
use super::submit::submit;
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

/// An artifact that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) service: ServiceName,
    pub(crate) digest: Digest,
}

pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Body(request): Body<ArrivalRequest>,
) -> Result<Json<ArrivalAnswer>, Problem> {
    if !caller.0.may_push(&request.service) {
        return Err(Problem::forbidden(
            &caller.0.actor.name,
            &format!("push artifacts of `{}`", request.service),
        ));
    }
    let arrived = Arrived {
        service: request.service,
        digest: request.digest,
    };
    act_on(&state, &arrived).await.map(Json)
}

/// Does what policies want done with the artifact; doing it again changes nothing.
pub(crate) async fn act_on(state: &State, arrived: &Arrived) -> Result<ArrivalAnswer, Problem> {
    let selected = Selected::Digest {
        digest: arrived.digest.clone(),
        intent: Intent::Release,
    };
    let (artifact, _) = state.artifacts.find(&arrived.service, selected).await?;
    let wishes = arrival(&state.writer.world(), &Arrival { artifact });
    let mut answer = ArrivalAnswer {
        released: Vec::new(),
        withheld: Vec::new(),
    };
    for wish in wishes {
        let environment = wish.environment.clone();
        match submit(state, wish.key.clone(), move |world, now| {
            decide(world, &wish, now)
        })
        .await
        {
            Ok(
                Answer::Committed {
                    release: Some(release),
                    ..
                }
                | Answer::Unchanged(release),
            ) => {
                answer.released.push(release);
            }
            Ok(Answer::Requested { request, .. }) => answer.withheld.push(Withheld {
                environment,
                reason: format!("waits for approval as request {}", request.id),
            }),
            // Written down that people keep it away, now or at an earlier arrival.
            Ok(Answer::Committed {
                release: None,
                subject,
                ..
            }) => answer.withheld.push(Withheld {
                environment,
                reason: subject,
            }),
            Ok(_) => {}
            Err(problem) if problem.is_refusal() => {
                answer.withheld.push(Withheld {
                    environment,
                    reason: problem.message().to_owned(),
                });
            }
            Err(problem) => return Err(problem),
        }
    }
    Ok(answer)
}
