//! The answer to one question; pure.

use hickory_proto::op::{LowerQuery, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::zone::{DOMAIN, Entry, Zone};

/// Pods come and go: nobody should remember an answer for longer.
const TTL_SECONDS: u32 = 5;
/// Aliases followed within the cluster domain.
const ALIASES: usize = 8;

/// What is sent back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) records: Vec<Record>,
    pub(super) additional: Vec<Record>,
    pub(super) start_of_authority: Vec<Record>,
}

impl Answer {
    pub(super) fn failure(code: ResponseCode) -> Self {
        Self {
            code,
            records: Vec::new(),
            additional: Vec::new(),
            start_of_authority: Vec::new(),
        }
    }

    pub(super) fn is_authoritative(&self) -> bool {
        matches!(self.code, ResponseCode::NoError | ResponseCode::NXDomain)
    }
}

/// Answers from the zone; without one the server has just started and fails,
/// so that the client asks again.
pub(super) fn answer(zone: Option<&Zone>, query: &LowerQuery) -> Answer {
    let Some(zone) = zone else {
        return Answer::failure(ResponseCode::ServFail);
    };
    let name = Name::from(query.name().clone());
    let text = text(&name);
    if !is_inside(&text) {
        return Answer::failure(ResponseCode::Refused);
    }
    let Some(entry) = zone.get(&text) else {
        return with_authority(Answer::failure(ResponseCode::NXDomain));
    };
    let mut answer = Answer::failure(ResponseCode::NoError);
    collect(zone, &name, entry, query.query_type(), &mut answer);
    if answer.records.is_empty() {
        with_authority(answer)
    } else {
        answer
    }
}

fn collect(zone: &Zone, name: &Name, entry: &Entry, kind: RecordType, answer: &mut Answer) {
    let mut name = name.clone();
    let mut entry = entry.clone();
    for _ in 0..ALIASES {
        let Some(alias) = entry.alias.clone() else {
            break;
        };
        let Some(target) = parse(&alias) else { return };
        answer
            .records
            .push(record(&name, RData::CNAME(CNAME(target.clone()))));
        if kind == RecordType::CNAME {
            return;
        }
        let Some(next) = zone.get(&alias) else { return };
        name = target;
        entry = next.clone();
    }
    if matches!(kind, RecordType::A | RecordType::ANY) {
        let addresses = entry
            .addresses
            .iter()
            .map(|&address| record(&name, RData::A(A(address))));
        answer.records.extend(addresses);
    }
    if matches!(kind, RecordType::SRV | RecordType::ANY) {
        let weight = u16::try_from(100 / entry.services.len().max(1)).unwrap_or(1);
        for (port, target) in &entry.services {
            let Some(host) = parse(target) else { continue };
            answer.records.push(record(
                &name,
                RData::SRV(SRV::new(0, weight, *port, host.clone())),
            ));
            let addresses = zone
                .get(target)
                .map(|target| target.addresses.clone())
                .unwrap_or_default();
            answer.additional.extend(
                addresses
                    .into_iter()
                    .map(|address| record(&host, RData::A(A(address)))),
            );
        }
    }
}

/// Tells the client for how long "there is nothing" holds.
fn with_authority(mut answer: Answer) -> Answer {
    let names = (
        parse(DOMAIN),
        parse(&format!("ns.dns.{DOMAIN}")),
        parse(&format!("hostmaster.{DOMAIN}")),
    );
    if let (Some(domain), Some(server), Some(contact)) = names {
        let authority = SOA::new(server, contact, 1, 7200, 1800, 86400, TTL_SECONDS);
        answer.start_of_authority = vec![record(&domain, RData::SOA(authority))];
    }
    answer
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL_SECONDS, data)
}

/// Lower case, without the last dot.
fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_lowercase()
}

fn is_inside(name: &str) -> bool {
    name == DOMAIN
        || name
            .strip_suffix(DOMAIN)
            .is_some_and(|rest| rest.ends_with('.'))
}

fn parse(name: &str) -> Option<Name> {
    Name::from_ascii(format!("{name}.")).ok()
}
