//! Cases for windows and what they deny.

use std::sync::Arc;

use foreshore_model::ExitCode;
use jiff::civil::Time;
use proptest::prelude::*;

use super::*;
use crate::decide::tests::{person, world};

/// Without a database of zones: one fixed distance from UTC, and one that changes as in Copenhagen.
fn zones() -> [(&'static str, TimeZone); 2] {
    [
        ("UTC", TimeZone::UTC),
        (
            "Europe/Copenhagen",
            TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
        ),
    ]
}

fn frozen_world(freezes: Vec<(&str, Effect, Window)>) -> World {
    let mut world = world();
    world.zones = Arc::new(
        zones()
            .into_iter()
            .map(|(name, zone)| (name.to_owned(), zone))
            .collect(),
    );
    for (name, effect, window) in freezes {
        let made = Freeze {
            effect,
            environments: vec!["prod".parse().unwrap()],
            services: vec![],
            window,
            time_zone: "Europe/Copenhagen".into(),
            changed: Changed {
                actor: person("ada"),
                reason: "christmas".into(),
                at: "2026-11-20T12:00:00Z".parse().unwrap(),
            },
        };
        world.freezes.insert(name.parse().unwrap(), made);
    }
    world
}

fn weekly(days: &[Day], from: &str, until: &str) -> Window {
    Window::Weekly {
        days: days.to_vec(),
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
    }
}

fn once(from: &str, until: &str) -> Window {
    Window::Once {
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
    }
}

fn prod() -> Place {
    ("prod".parse().unwrap(), "web".parse().unwrap())
}

#[test]
fn a_window_stands_in_its_own_time_zone() {
    let window = once("2026-12-23T17:00", "2027-01-04T08:00");
    let [(_, utc), (_, copenhagen)] = zones();
    for (now, in_utc, in_copenhagen) in [
        ("2026-12-23T15:59:59Z", false, false),
        ("2026-12-23T16:00:00Z", false, true),
        ("2026-12-23T17:00:00Z", true, true),
        ("2027-01-04T07:30:00Z", true, false),
        ("2027-01-04T08:00:00Z", false, false),
    ] {
        let now = now.parse().unwrap();
        assert_eq!(is_open(&window, &utc, now), in_utc, "{now}");
        assert_eq!(is_open(&window, &copenhagen, now), in_copenhagen, "{now}");
    }
}

#[test]
fn a_weekly_window_goes_over_midnight_and_over_the_change_of_the_clock() {
    let window = weekly(&[Day::Saturday], "22:00", "04:00");
    let [_, (_, zone)] = zones();
    // On 25 October 2026 clocks go back an hour at 3:00 summer time.
    for (now, open) in [
        ("2026-10-24T19:59:00Z", false),
        ("2026-10-24T20:00:00Z", true),
        ("2026-10-25T01:30:00Z", true),
        ("2026-10-25T02:59:00Z", true),
        ("2026-10-25T03:00:00Z", false),
        ("2026-10-25T20:00:00Z", false),
    ] {
        assert_eq!(is_open(&window, &zone, now.parse().unwrap()), open, "{now}");
    }
}

#[test]
fn deny_beats_allow_and_a_closed_allow_denies() {
    let always = || weekly(&Day::ALL, "00:00", "23:59:59.999999999");
    let never = || once("2000-01-01T00:00", "2000-01-02T00:00");
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let judge = |freezes| freezing(&frozen_world(freezes), &prod(), now);
    assert_eq!(judge(vec![]), Freezing::Free);
    assert_eq!(judge(vec![("no", Effect::Deny, never())]), Freezing::Free);
    assert!(matches!(
        judge(vec![("yes", Effect::Allow, always())]),
        Freezing::Allowed { .. }
    ));
    for freezes in [
        vec![("no", Effect::Deny, always())],
        vec![
            ("a-yes", Effect::Allow, always()),
            ("no", Effect::Deny, always()),
        ],
        vec![("yes", Effect::Allow, never())],
    ] {
        assert!(matches!(judge(freezes), Freezing::Frozen { .. }));
    }
    let dev = ("dev".parse().unwrap(), "web".parse().unwrap());
    let world = frozen_world(vec![("no", Effect::Deny, always())]);
    assert_eq!(freezing(&world, &dev, now), Freezing::Free);
}

#[test]
fn a_zone_nobody_knows_denies() {
    let mut world = frozen_world(vec![(
        "no",
        Effect::Deny,
        once("2000-01-01T00:00", "2000-01-02T00:00"),
    )]);
    Arc::make_mut(&mut world.zones).remove("Europe/Copenhagen");
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let Freezing::Frozen { words } = freezing(&world, &prod(), now) else {
        panic!("it is not frozen")
    };
    assert!(words.contains("`Europe/Copenhagen`"), "{words}");
}

#[track_caller]
fn refused(change: impl FnOnce(&mut FreezeRequest), code: ExitCode, part: &str) {
    let mut request = FreezeRequest {
        effect: Effect::Deny,
        environments: vec![],
        services: vec![],
        window: once("2026-12-23T17:00", "2027-01-04T08:00"),
        time_zone: "UTC".into(),
        reason: "christmas".into(),
    };
    change(&mut request);
    let name = "christmas".parse().unwrap();
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let world = frozen_world(vec![]);
    let refusal = freeze(&world, &name, &request, &person("ada"), "k", now).unwrap_err();
    let said = format!("{} {}", refusal.message, refusal.hints.join(" "));
    assert_eq!(refusal.code, code, "{said}");
    assert!(said.contains(part), "`{part}` is not in: {said}");
}

#[test]
fn a_freeze_that_cannot_be_meant_is_refused() {
    refused(
        |request| request.time_zone = "Europe/Copenhagn".into(),
        ExitCode::Usage,
        "did you mean `Europe/Copenhagen`?",
    );
    refused(
        |request| request.reason = " ".into(),
        ExitCode::Usage,
        "--reason",
    );
    refused(
        |request| request.environments = vec!["prd".parse().unwrap()],
        ExitCode::NotFound,
        "did you mean `prod`?",
    );
    refused(
        |request| request.window = once("2026-12-24T00:00", "2026-12-23T00:00"),
        ExitCode::Usage,
        "before it begins",
    );
    refused(
        |request| request.window = once("2025-12-24T00:00", "2025-12-25T00:00"),
        ExitCode::Usage,
        "in the past",
    );
    refused(
        |request| request.window = weekly(&[], "10:00", "11:00"),
        ExitCode::Usage,
        "--day",
    );
}

proptest! {
    // Each case looks at every minute of a week.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the window, over a week it is open as long as its days and hours say.
    #[test]
    fn a_weekly_window_is_open_as_long_as_it_says(days in prop::collection::btree_set(0..7_usize, 1..7), from in 0..1440_i16, length in 1..1440_i16) {
        let time = |minute: i16| Time::new(i8::try_from(minute / 60).unwrap(), i8::try_from(minute % 60).unwrap(), 0, 0).unwrap();
        let window = Window::Weekly {
            days: days.iter().map(|day| Day::ALL[*day]).collect(),
            from: time(from),
            until: time((from + length) % 1440),
        };
        let monday: Timestamp = "2026-11-16T00:00:00Z".parse().unwrap();
        let open = (0..7 * 1440).filter(|minute| {
            let moment = monday + jiff::SignedDuration::from_mins(*minute);
            is_open(&window, &TimeZone::UTC, moment)
        });
        prop_assert_eq!(open.count(), days.len() * usize::try_from(length).unwrap());
    }
}
