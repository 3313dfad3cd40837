//! Grounds as their users see them. Where the kernel refuses, the tests assert
//! that the refusal says what is missing.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use foreshore_sys::{Ground, GroundError};

const LIMIT: Duration = Duration::from_secs(5);

/// A ground in its own folder, let go of when the test ends however it ends.
struct Fixture {
    folder: tempfile::TempDir,
    ground: Option<Ground>,
}

impl Fixture {
    /// `None` where the kernel refuses, after checking the words it is told in.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        match Ground::create(&folder.path().join("ground")) {
            Ok(ground) => Some(Self {
                folder,
                ground: Some(ground),
            }),
            Err(error) => {
                assert!(matches!(error, GroundError::NotPermitted(_)), "{error:?}");
                let words = error.to_string();
                assert!(words.contains("root"), "{words}");
                assert!(words.contains("user namespaces"), "{words}");
                None
            }
        }
    }

    fn ground(&self) -> &Ground {
        self.ground.as_ref().unwrap()
    }

    fn pin(&self) -> std::path::PathBuf {
        self.folder.path().join("ground")
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        Ground::remove_pin(&self.pin()).unwrap();
    }
}

fn address(octets: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(octets), port))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn mounts_on(path: &Path) -> usize {
    let wanted = path.to_str().unwrap();
    std::fs::read_to_string("/proc/self/mountinfo")
        .unwrap()
        .lines()
        .filter(|line| line.split(' ').nth(4) == Some(wanted))
        .count()
}

#[test]
fn any_address_of_the_pod_and_service_ranges_can_be_bound_and_reached() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    for octets in [
        [10, 244, 3, 7],
        [10, 96, 0, 1],
        [10, 250, 0, 1],
        [127, 0, 0, 1],
    ] {
        let listener = fixture.ground().tcp_listener(address(octets, 0)).unwrap();
        let bound = listener.local_addr().unwrap();
        let connected = runtime().block_on(fixture.ground().connect(bound, LIMIT));
        assert_eq!(connected.unwrap().peer_addr().unwrap(), bound);
    }
}

#[test]
fn a_listener_of_the_ground_cannot_be_reached_from_the_host() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let inside = fixture
        .ground()
        .tcp_listener(address([127, 0, 0, 1], 0))
        .unwrap();
    let bound = inside.local_addr().unwrap();
    // The same port is free on the host, so the two are not the same place.
    TcpListener::bind(bound).unwrap();
}

#[test]
fn low_ports_and_the_same_port_on_two_addresses_are_free_to_take() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let _first = fixture
        .ground()
        .tcp_listener(address([10, 96, 0, 10], 53))
        .unwrap();
    let _second = fixture
        .ground()
        .tcp_listener(address([10, 244, 0, 1], 53))
        .unwrap();
    let _third = fixture
        .ground()
        .udp_socket(address([10, 96, 0, 10], 53))
        .unwrap();
}

#[test]
fn nothing_can_leave_the_ground() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let outside = address([192, 0, 2, 1], 80);
    let refused = runtime().block_on(fixture.ground().connect(outside, LIMIT));
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::NetworkUnreachable
    );
}

#[test]
fn a_connection_shows_the_address_it_was_made_from() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let listener = fixture
        .ground()
        .tcp_listener(address([10, 244, 0, 5], 0))
        .unwrap();
    listener.set_nonblocking(false).unwrap();
    let to = listener.local_addr().unwrap();
    let from = address([10, 244, 0, 9], 0);
    let _client = runtime()
        .block_on(fixture.ground().connect_from(from, to, LIMIT))
        .unwrap();
    assert_eq!(listener.accept().unwrap().1.ip(), from.ip());
}

#[test]
fn a_child_starts_inside_the_ground() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let listener = fixture
        .ground()
        .tcp_listener(address([10, 244, 0, 5], 0))
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut command = Command::new("/bin/cat");
    command.arg("/proc/net/tcp").stdout(Stdio::piped());
    fixture.ground().prepare(&mut command);
    let mut child = command.spawn().unwrap();
    let mut seen = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut seen)
        .unwrap();
    child.wait().unwrap();
    assert!(seen.contains(&format!("0500F40A:{port:04X}")), "{seen}");
}

#[test]
fn a_pinned_ground_outlives_its_handle_and_is_found_again() {
    let Some(mut fixture) = Fixture::new() else {
        return;
    };
    let listener = fixture
        .ground()
        .tcp_listener(address([10, 244, 0, 5], 0))
        .unwrap();
    let bound = listener.local_addr().unwrap();
    drop(fixture.ground.take());

    let again = Ground::open(&fixture.pin()).unwrap();
    runtime().block_on(again.connect(bound, LIMIT)).unwrap();
}

#[test]
fn removing_a_ground_leaves_neither_mount_nor_file() {
    let Some(mut fixture) = Fixture::new() else {
        return;
    };
    let pin = fixture.pin();
    assert_eq!(mounts_on(&pin), 1);
    fixture.ground.take().unwrap().remove().unwrap();
    assert_eq!(mounts_on(&pin), 0);
    assert!(!pin.exists());
    assert!(matches!(Ground::open(&pin), Err(GroundError::NotPinned(_))));
    Ground::remove_pin(&pin).unwrap();
}

#[test]
fn creating_over_a_leftover_replaces_it() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let old = fixture
        .ground()
        .tcp_listener(address([10, 244, 0, 5], 80))
        .unwrap();
    let fresh = Ground::create(&fixture.pin()).unwrap();
    assert_eq!(mounts_on(&fixture.pin()), 1);
    fresh.tcp_listener(old.local_addr().unwrap()).unwrap();
}

#[test]
fn a_plain_file_is_not_taken_for_a_ground_and_gives_way_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let pin = folder.path().join("ground");
    std::fs::write(&pin, "left by a process that died before it mounted").unwrap();
    assert!(matches!(Ground::open(&pin), Err(GroundError::NotPinned(_))));
    match Ground::open_or_create(&pin) {
        Ok(ground) => ground.remove().unwrap(),
        Err(error) => assert!(matches!(error, GroundError::NotPermitted(_)), "{error:?}"),
    }
}

#[test]
fn the_current_namespace_serves_as_a_ground_without_privilege() {
    let ground = Ground::current();
    let listener = ground.tcp_listener(address([127, 0, 0, 1], 0)).unwrap();
    let bound = listener.local_addr().unwrap();
    runtime().block_on(ground.connect(bound, LIMIT)).unwrap();
    assert_eq!(ground.pin(), None);
    ground.remove().unwrap();
}

#[tokio::test]
async fn without_a_namespace_a_ground_has_loopback_addresses_under_its_own_names() {
    let folder = tempfile::tempdir().unwrap();
    let pin = folder.path().join("below").join("ground");
    let ground = Ground::create_loopback(&pin).unwrap();
    assert!(ground.is_loopback());
    assert_eq!(ground.pin(), Some(pin.as_path()));
    let pod = Ipv4Addr::new(10, 244, 201, 7);
    let twin = ground.on_machine(pod);
    assert!(
        twin.is_loopback() && twin.octets()[2..] == [201, 7],
        "{twin}"
    );
    let listener = ground.tcp_listener((pod, 0).into()).unwrap();
    let bound = listener.local_addr().unwrap();
    assert_eq!(bound.ip(), twin);
    // Others find it by the same file, and peers are who they say they are.
    let again = Ground::open(&pin).unwrap();
    let peer = Ipv4Addr::new(10, 244, 201, 8);
    let stream = again
        .connect_from((peer, 0).into(), (pod, bound.port()).into(), LIMIT)
        .await
        .unwrap();
    assert_eq!(stream.local_addr().unwrap().ip(), again.on_machine(peer));
    // A further one keeps apart from it.
    let further = Ground::create_loopback(&folder.path().join("further")).unwrap();
    assert_ne!(further.on_machine(pod), twin);
    foreshore_sys::enter_pinned(&pin).unwrap();
    ground.remove().unwrap();
    assert!(matches!(Ground::open(&pin), Err(GroundError::NotPinned(_))));
}
