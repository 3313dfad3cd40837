//! The worker `{{ service.name }}`: does its work again and again until it is told to end.

use std::thread;
use std::time::Duration;

fn main() {
    for round in 1_u64.. {
        println!("{{ service.name }}: round {round}");
        thread::sleep(Duration::from_secs(10));
    }
}
