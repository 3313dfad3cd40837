//! Previews that were shown and may be confirmed once.
//!
//! The token in a preview is both the proof that a page of ours was seen by
//! this person and the guard against a post that is sent again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use foreshore_model::Digest;
use jiff::{SignedDuration, Timestamp};

use super::Deed;

/// How long a preview may wait for its confirmation.
const VALID: SignedDuration = SignedDuration::from_mins(10);
/// Previews that wait at once; the oldest goes first.
const WAITING_MAX: usize = 500;
/// Confirmed previews that are remembered, so that a repeat finds its result.
const SPENT_MAX: usize = 500;

/// What a person was shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Offer {
    pub(crate) deed: Deed,
    /// Login name of who saw it.
    pub(crate) actor: String,
    /// What has to be typed before it is done.
    pub(crate) typed: Option<String>,
    /// Replicas before a scale, for its undo.
    pub(crate) before: Option<i64>,
    /// The artifact that was to be replaced when the preview was made.
    pub(crate) expected: Option<Digest>,
}

/// Why a confirmation is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OfferError {
    #[error("this confirmation is too old, or was never asked for")]
    Unknown,
    #[error("somebody else was asked to confirm this")]
    OtherPerson,
    #[error("what was typed is not `{0}`")]
    NotTyped(String),
    /// It was carried out before; this is where its result is.
    #[error("this was confirmed before")]
    Spent(String),
}

#[derive(Debug, Default)]
struct Book {
    waiting: BTreeMap<String, (Offer, Timestamp)>,
    order: VecDeque<String>,
    spent: VecDeque<(String, String, String)>,
}

/// All previews.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    book: Mutex<Book>,
}

impl Offers {
    /// Keeps an offer under a token that nobody can guess.
    pub(crate) fn make(&self, token: String, offer: Offer, now: Timestamp) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.waiting.insert(token.clone(), (offer, now));
        book.order.push_back(token);
        while book.order.len() > WAITING_MAX {
            if let Some(oldest) = book.order.pop_front() {
                book.waiting.remove(&oldest);
            }
        }
    }

    /// Takes an offer: it cannot be taken again; `job` is where its result will be.
    pub(crate) fn take(
        &self,
        token: &str,
        actor: &str,
        typed: &str,
        job: &str,
        now: Timestamp,
    ) -> Result<Offer, OfferError> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, by, job)) = book.spent.iter().find(|(spent, _, _)| spent == token) {
            return Err(if by == actor {
                OfferError::Spent(job.clone())
            } else {
                OfferError::OtherPerson
            });
        }
        let (offer, made) = book.waiting.get(token).ok_or(OfferError::Unknown)?;
        if now.duration_since(*made) > VALID {
            return Err(OfferError::Unknown);
        }
        if offer.actor != actor {
            return Err(OfferError::OtherPerson);
        }
        if let Some(wanted) = &offer.typed
            && wanted != typed.trim()
        {
            return Err(OfferError::NotTyped(wanted.clone()));
        }
        let (offer, _) = book.waiting.remove(token).ok_or(OfferError::Unknown)?;
        book.order.retain(|kept| kept != token);
        book.spent
            .push_back((token.to_owned(), actor.to_owned(), job.to_owned()));
        if book.spent.len() > SPENT_MAX {
            book.spent.pop_front();
        }
        Ok(offer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn offers(typed: Option<&str>) -> Offers {
        let offers = Offers::default();
        let offer = Offer {
            deed: Deed::Cordon {
                site: "local".into(),
                node: "n".into(),
            },
            actor: "ada".into(),
            typed: typed.map(str::to_owned),
            before: None,
            expected: None,
        };
        offers.make("token".into(), offer, at(0));
        offers
    }

    #[test]
    fn a_confirmation_counts_once_and_a_repeat_finds_its_result() {
        let offers = offers(None);
        assert!(offers.take("token", "ada", "", "job-1", at(1)).is_ok());
        assert_eq!(
            offers.take("token", "ada", "", "job-2", at(2)),
            Err(OfferError::Spent("job-1".into()))
        );
        assert_eq!(
            offers.take("token", "mallory", "", "job-3", at(2)),
            Err(OfferError::OtherPerson)
        );
    }

    #[test]
    fn guesses_old_previews_and_other_people_are_refused() {
        let offers = offers(None);
        assert_eq!(
            offers.take("guess", "ada", "", "j", at(1)),
            Err(OfferError::Unknown)
        );
        assert_eq!(
            offers.take("token", "mallory", "", "j", at(1)),
            Err(OfferError::OtherPerson)
        );
        assert_eq!(
            offers.take("token", "ada", "", "j", at(601)),
            Err(OfferError::Unknown)
        );
        assert!(offers.take("token", "ada", "", "j", at(600)).is_ok());
    }

    #[test]
    fn in_production_the_name_has_to_be_typed() {
        let offers = offers(Some("web"));
        assert_eq!(
            offers.take("token", "ada", "", "j", at(1)),
            Err(OfferError::NotTyped("web".into()))
        );
        assert_eq!(
            offers.take("token", "ada", "Web", "j", at(1)),
            Err(OfferError::NotTyped("web".into()))
        );
        assert!(offers.take("token", "ada", " web ", "j", at(1)).is_ok());
    }

    #[test]
    fn previews_nobody_confirms_are_bounded() {
        let offers = offers(None);
        for number in 0..2 * WAITING_MAX {
            let offer = Offer {
                deed: Deed::Approve {
                    request: "r".into(),
                },
                actor: "ada".into(),
                typed: None,
                before: None,
                expected: None,
            };
            offers.make(format!("t{number}"), offer, at(0));
        }
        assert_eq!(offers.book.lock().unwrap().waiting.len(), WAITING_MAX);
        assert_eq!(
            offers.take("token", "ada", "", "j", at(1)),
            Err(OfferError::Unknown)
        );
    }
}
