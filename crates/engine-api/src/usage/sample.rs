//! A node's report, and what two of them say about rates.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Namespace, pod and container.
pub(super) type Place = (String, String, String);

/// One counter of CPU seconds, one gauge of bytes, and when they were read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Reading {
    cpu_seconds: Option<f64>,
    /// Milliseconds since 1970, of the CPU counter.
    at: i64,
    memory: Option<f64>,
}

/// What a node said once.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) taken: Instant,
    timestamp: Timestamp,
    node: Reading,
    containers: HashMap<Place, Reading>,
}

/// Use per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    /// Cores.
    pub(super) cpu: f64,
    /// Bytes.
    pub(super) memory: f64,
}

#[derive(Debug)]
pub(super) struct Rates {
    pub(super) timestamp: Timestamp,
    pub(super) window: Duration,
    pub(super) node: Option<Rate>,
    pub(super) containers: HashMap<Place, Rate>,
}

impl Sample {
    /// Reads the Prometheus text of `/metrics/resource`; lines it does not know are skipped.
    pub(super) fn read(text: &str, now: Timestamp) -> Self {
        let mut sample = Self {
            taken: Instant::now(),
            timestamp: now,
            node: Reading::default(),
            containers: HashMap::new(),
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            sample.line(line, now);
        }
        sample
    }

    fn line(&mut self, line: &str, now: Timestamp) {
        let (head, rest) = match line.find('}') {
            Some(end) => (&line[..end], &line[end + 1..]),
            None => line.split_once(' ').unwrap_or((line, "")),
        };
        let mut rest = rest.split_whitespace();
        let Some(Ok(value)) = rest.next().map(str::parse::<f64>) else {
            return;
        };
        let at = rest.next().and_then(|text| text.parse().ok());
        let at = at.unwrap_or_else(|| now.as_millisecond());
        let (name, labels) = head.split_once('{').unwrap_or((head, ""));
        let label = |wanted: &str| {
            let mut pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(key, _)| key.trim() == wanted);
            found.map(|(_, text)| text.trim().trim_matches('"').to_owned())
        };
        let reading = match name {
            "node_cpu_usage_seconds_total" | "node_memory_working_set_bytes" => &mut self.node,
            "container_cpu_usage_seconds_total" | "container_memory_working_set_bytes" => {
                let (Some(namespace), Some(pod), Some(container)) =
                    (label("namespace"), label("pod"), label("container"))
                else {
                    return;
                };
                self.containers
                    .entry((namespace, pod, container))
                    .or_default()
            }
            _ => return,
        };
        if name.ends_with("_seconds_total") {
            reading.cpu_seconds = Some(value);
            reading.at = at;
        } else {
            reading.memory = Some(value);
        }
    }
}

impl Rates {
    /// Nothing if no time passed between the two.
    pub(super) fn between(before: &Sample, newest: &Sample) -> Option<Self> {
        let window = newest.taken.checked_duration_since(before.taken)?;
        let containers = newest.containers.iter().filter_map(|(place, reading)| {
            Some((place.clone(), rate(before.containers.get(place)?, reading)?))
        });
        Some(Self {
            timestamp: newest.timestamp,
            window,
            node: rate(&before.node, &newest.node),
            containers: containers.collect(),
        })
    }
}

fn rate(before: &Reading, newest: &Reading) -> Option<Rate> {
    let (earlier, later) = (before.cpu_seconds?, newest.cpu_seconds?);
    let milliseconds = u32::try_from(newest.at - before.at).ok()?;
    if milliseconds == 0 {
        return None;
    }
    // A counter that fell began anew: all of it was used since.
    let used = if later < earlier {
        later
    } else {
        later - earlier
    };
    Some(Rate {
        cpu: used * 1000.0 / f64::from(milliseconds),
        memory: newest.memory?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu: &str, at: &str) -> Sample {
        let text = format!(
            "# HELP x y\n\
             node_cpu_usage_seconds_total 10 {at}\n\
             node_memory_working_set_bytes 2048 {at}\n\
             container_cpu_usage_seconds_total{{container=\"c\",namespace=\"n\",pod=\"p\"}} {cpu} {at}\n\
             container_memory_working_set_bytes{{container=\"c\",namespace=\"n\",pod=\"p\"}} 1024 {at}\n\
             something_else 1\n"
        );
        Sample::read(&text, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn two_looks_make_a_rate_and_a_restart_begins_anew() {
        let place = ("n".to_owned(), "p".to_owned(), "c".to_owned());
        let first = sample("5", "1000");
        let rates = Rates::between(&first, &sample("6", "3000")).unwrap();
        let expected = Rate {
            cpu: 0.5,
            memory: 1024.0,
        };
        assert_eq!(rates.containers.get(&place), Some(&expected));
        assert_eq!(
            rates.node,
            Some(Rate {
                cpu: 0.0,
                memory: 2048.0
            })
        );
        let rates = Rates::between(&first, &sample("1", "2000")).unwrap();
        assert_eq!(
            rates.containers[&place],
            Rate {
                cpu: 1.0,
                memory: 1024.0
            }
        );
        let rates = Rates::between(&first, &sample("6", "1000")).unwrap();
        assert!(rates.containers.is_empty(), "no time has passed");
    }
}
