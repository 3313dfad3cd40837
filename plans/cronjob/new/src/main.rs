//! The job `{{ service.name }}`: does its work once and ends; anything but exit code 0 is a failure.

fn main() {
    println!("{{ service.name }}: done");
}
