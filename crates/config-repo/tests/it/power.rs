//! The power goes at seeded moments while releases are written and a mirror follows: what was
//! acknowledged is on the disk, once, and nothing on it is damaged.
//!
//! A file system of its own lies in a file. Its kernel writes there exactly what a disk would
//! have been given; what is still in memory is not in the file. So a copy of the file, taken
//! between two writes, is the disk of a machine whose power just went.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use foreshore_config_repo::{Mirror, Writer, bootstrap, starter};
use foreshore_git::{Credential, LogQuery, ObjectId, Remote, Repository};
use foreshore_release::TRAILER_KEY;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::fs::SeekFrom;

use crate::fixture::{MAIN, committed, job, now, runtime, start, submit, tempdir, wish};

/// One disk for each seed; with time to spare, thousands.
const CUTS: u32 = 200;
const SEED: u64 = 11;
const DISK_BYTES: u64 = 32 * 1024 * 1024;
/// Disks that are looked at side by side.
const READERS: usize = 2;
/// After so many cuts the work begins anew on an empty disk.
const CUTS_PER_DISK: u32 = 50;

#[test]
fn no_acknowledged_release_is_lost_doubled_or_damaged_when_the_power_goes() {
    let folder = tempdir();
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut acknowledged = 0;
    for number in 0..cuts().div_ceil(CUTS_PER_DISK) {
        // A name of its own: the kernel may still know the disk before under its name.
        let place = tempfile::tempdir_in(folder.path()).unwrap();
        let disk = match Disk::make(place.path()) {
            Ok(disk) => disk,
            Err(why) if number == 0 => {
                writeln!(std::io::stderr(), "not run: power cuts, {why}").unwrap();
                return;
            }
            Err(why) => panic!("disk {number}: {why}"),
        };
        acknowledged += cut_again_and_again(&disk, folder.path(), &mut random);
    }
    assert!(acknowledged > 0, "nothing was acknowledged");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the soak says that there is time"
)]
fn cuts() -> u32 {
    match std::env::var("FORESHORE_SOAK") {
        Ok(_) => 20 * CUTS,
        Err(_) => CUTS,
    }
}

/// Cuts the power of one disk while work goes on; returns how much was acknowledged in the end.
fn cut_again_and_again(disk: &Disk, folder: &Path, random: &mut ChaCha8Rng) -> usize {
    let work = Work::begin(&disk.mount);
    let (sender, receiver) = mpsc::sync_channel::<(u32, Image, Told)>(READERS);
    let receiver = Arc::new(Mutex::new(receiver));
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            let receiver = receiver.clone();
            scope.spawn(move || {
                loop {
                    let next = receiver.lock().unwrap().recv();
                    let Ok((cut, image, told)) = next else { return };
                    // A name of its own: the kernel may still know the disk before under its name.
                    let place = tempfile::tempdir_in(folder).unwrap();
                    look_at(place.path(), cut, &image, &told);
                }
            });
        }
        // With the last reader gone nobody is waited for.
        drop(receiver);
        for cut in 0..CUTS_PER_DISK {
            work.go_on();
            // The moment is the test.
            std::thread::sleep(Duration::from_micros(random.random_range(0..40_000)));
            let told = work.told.lock().unwrap().clone();
            let image = disk.as_it_is();
            // Readers are slower; nothing new is begun until one is free.
            work.pause();
            if sender.send((cut, image, told)).is_err() {
                break;
            }
        }
        drop(sender);
    });
    work.end()
}

/// What callers were told that is durable.
#[derive(Debug, Clone, Default)]
struct Told {
    keys: BTreeSet<String>,
    mirrored: Option<ObjectId>,
}

/// Releases by several callers, and a mirror that follows.
struct Work {
    told: Arc<Mutex<Told>>,
    turn: Arc<Turn>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// Whether something new may be begun.
#[derive(Default)]
struct Turn {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Goes,
    Pauses,
    Ends,
}

impl Turn {
    fn set(&self, state: State) {
        *self.state.lock().unwrap() = state;
        self.changed.notify_all();
    }

    /// Waits for the turn; false when all is over.
    fn is_mine(&self) -> bool {
        let state = self.state.lock().unwrap();
        let pauses = |state: &mut State| *state == State::Pauses;
        *self.changed.wait_while(state, pauses).unwrap() == State::Goes
    }
}

const REPOSITORY: &str = "config.git";
const MIRROR: &str = "mirror.git";

impl Work {
    fn begin(disk: &Path) -> Self {
        let repository = Repository::init_bare(disk.join(REPOSITORY)).unwrap();
        let (environments, policies) = starter();
        bootstrap(&repository, &environments, &policies, now()).unwrap();
        let told: Arc<Mutex<Told>> = Arc::default();
        let turn: Arc<Turn> = Arc::default();
        let release = {
            let (told, turn, repository) = (told.clone(), turn.clone(), repository.clone());
            move || {
                runtime().block_on(async {
                    let writer = start(&repository).await;
                    let callers = ["a", "b", "c"].map(|service| {
                        tokio::spawn(call(writer.clone(), service, told.clone(), turn.clone()))
                    });
                    for caller in callers {
                        caller.await.unwrap();
                    }
                });
            }
        };
        let follow = {
            let (told, turn, disk) = (told.clone(), turn.clone(), disk.to_owned());
            move || {
                let mirror = mirror(&disk);
                while turn.is_mine() {
                    let tip = mirror.fetch().unwrap();
                    told.lock().unwrap().mirrored = Some(tip);
                }
            }
        };
        Self {
            told,
            turn,
            threads: vec![std::thread::spawn(release), std::thread::spawn(follow)],
        }
    }

    fn go_on(&self) {
        self.turn.set(State::Goes);
    }

    fn pause(&self) {
        self.turn.set(State::Pauses);
    }

    fn end(self) -> usize {
        self.turn.set(State::Ends);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.told.lock().unwrap().keys.len()
    }
}

async fn call(writer: Writer, service: &'static str, told: Arc<Mutex<Told>>, turn: Arc<Turn>) {
    for n in 1.. {
        if !tokio::task::block_in_place(|| turn.is_mine()) {
            return;
        }
        let wish = wish(service, n, "dev");
        let key = wish.key.clone();
        writer.submit(job(wish)).await.unwrap();
        told.lock().unwrap().keys.insert(key);
    }
}

fn mirror(disk: &Path) -> Mirror {
    let url = disk.join(REPOSITORY);
    let remote = Remote::new(url.to_str().unwrap(), Credential::None);
    Mirror::open(&disk.join(MIRROR), remote).unwrap()
}

/// Starts the machine again with this disk, and finds everything as it was promised.
fn look_at(place: &Path, cut: u32, image: &Image, told: &Told) {
    let file = place.join("disk.img");
    write(&file, image);
    let disk = Disk::mount(&file, &place.join("disk")).unwrap();
    let repository = Repository::open(disk.mount.join(REPOSITORY)).unwrap();
    repository
        .check()
        .unwrap_or_else(|error| panic!("cut {cut}: {error}"));
    let found = keys(&repository);
    let once: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), once.len(), "cut {cut}: a key is there twice");
    let lost: Vec<_> = told.keys.difference(&once).collect();
    assert!(lost.is_empty(), "cut {cut}: lost {lost:?}");

    if let Some(mirrored) = &told.mirrored {
        let copy = Repository::open(disk.mount.join(MIRROR)).unwrap();
        copy.check()
            .unwrap_or_else(|error| panic!("cut {cut}: mirror: {error}"));
        let tip = mirror(&disk.mount).tip().unwrap();
        let tip = tip.unwrap_or_else(|| panic!("cut {cut}: the mirror knows nothing any more"));
        assert!(
            copy.is_ancestor(mirrored, &tip).unwrap(),
            "cut {cut}: the mirror went back from {mirrored} to {tip}"
        );
    }
    if cut.is_multiple_of(10) {
        goes_on(&repository, &disk.mount);
    }
}

/// Whatever the cut left lying about, the next release and the next fetch need no hand.
fn goes_on(repository: &Repository, disk: &Path) {
    runtime().block_on(async {
        let writer = start(repository).await;
        let (commit, _) = committed(submit(&writer, wish("d", 1, "dev")).await);
        assert_eq!(mirror(disk).fetch().unwrap(), commit);
    });
}

fn keys(repository: &Repository) -> Vec<String> {
    let tip = repository.resolve(MAIN).unwrap().unwrap();
    let query = LogQuery {
        from: &tip,
        until: None,
        path: None,
        limit: 100_000,
    };
    let log = repository.log(&query).unwrap();
    log.iter()
        .filter_map(|commit| commit.trailer(TRAILER_KEY).map(str::to_owned))
        .collect()
}

/// A file with a file system in it, mounted.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes an empty one; says why where that cannot be.
    fn make(folder: &Path) -> Result<Self, String> {
        let image = folder.join("disk.img");
        let file = File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(DISK_BYTES)
            .map_err(|error| error.to_string())?;
        let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        let path = image.to_str().unwrap();
        run(
            "mkfs.ext4",
            &["-q", "-F", "-E", options, "-J", "size=4", path],
        )?;
        Self::mount(&image, &folder.join("disk"))
    }

    fn mount(image: &Path, place: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(place).map_err(|error| error.to_string())?;
        let (from, to) = (image.to_str().unwrap(), place.to_str().unwrap());
        run("mount", &["-t", "ext4", "-o", "loop,noatime", from, to])?;
        Ok(Self {
            image: image.to_owned(),
            mount: place.to_owned(),
        })
    }

    /// What the disk has been given up to one moment between two writes.
    fn as_it_is(&self) -> Image {
        let file = File::open(&self.image).unwrap();
        let mut before = read(&file);
        loop {
            let after = read(&file);
            // Whatever was written meanwhile shows: then it is no single moment.
            if before == after {
                return after;
            }
            before = after;
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mount = self.mount.to_str().unwrap();
        if let Err(why) = run("umount", &["-l", mount]) {
            // Dropping happens during a failure too; a mount that stays is told and no more.
            drop(writeln!(std::io::stderr(), "{mount} stays mounted: {why}"));
        }
    }
}

/// What a file with holes holds, and where.
type Image = Vec<(u64, Vec<u8>)>;

fn read(file: &File) -> Image {
    let mut image = Image::new();
    let mut at = 0;
    while let Ok(data) = rustix::fs::seek(file, SeekFrom::Data(at)) {
        let hole = rustix::fs::seek(file, SeekFrom::Hole(data)).unwrap();
        let mut bytes = vec![0; usize::try_from(hole - data).unwrap()];
        file.read_exact_at(&mut bytes, data).unwrap();
        image.push((data, bytes));
        at = hole;
    }
    image
}

fn write(path: &Path, image: &Image) {
    let file = File::create(path).unwrap();
    file.set_len(DISK_BYTES).unwrap();
    for (at, bytes) in image {
        file.write_all_at(bytes, *at).unwrap();
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
