//! Reading logs back, however they are cut and rotated.

use std::fs;

use super::*;
use crate::shim::LogFiles;

/// Second `n` of the log.
fn line(second: u32, text: &str) -> String {
    format!("1970-01-01T00:00:{second:02}.000000000Z stdout F {text}\n")
}

struct Fixture(tempfile::TempDir);

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        fs::write(folder.path().join("exit.json"), "").unwrap();
        Self(folder)
    }

    async fn read(&self, wish: Wish) -> String {
        let (chunks, mut stream) = mpsc::channel(1);
        let reader = tokio::spawn(Reader::new(self.0.path().to_path_buf(), wish).send(chunks));
        let mut text = Vec::new();
        while let Some(chunk) = stream.recv().await {
            text.extend_from_slice(&chunk.unwrap());
        }
        reader.await.unwrap();
        String::from_utf8(text).unwrap()
    }
}

fn numbered() -> Fixture {
    let old = line(1, "one") + &line(2, "two");
    let new = line(3, "three") + &line(4, "four");
    Fixture::new(&[("log.1", &old), ("log", &new)])
}

#[tokio::test]
async fn rotated_files_read_as_one_log() {
    assert_eq!(
        numbered().read(Wish::default()).await,
        "one\ntwo\nthree\nfour\n"
    );
}

#[tokio::test]
async fn the_last_lines_may_be_in_several_files() {
    let tail = async |lines| {
        numbered()
            .read(Wish {
                tail_lines: Some(lines),
                ..Wish::default()
            })
            .await
    };
    assert_eq!(tail(0).await, "");
    assert_eq!(tail(1).await, "four\n");
    assert_eq!(tail(2).await, "three\nfour\n");
    assert_eq!(tail(3).await, "two\nthree\nfour\n");
    assert_eq!(tail(99).await, "one\ntwo\nthree\nfour\n");
}

#[tokio::test]
async fn what_is_older_than_asked_for_is_left_out() {
    let since = Some(Timestamp::from_second(3).unwrap());
    assert_eq!(
        numbered()
            .read(Wish {
                since,
                ..Wish::default()
            })
            .await,
        "three\nfour\n"
    );
    let wish = Wish {
        since,
        tail_lines: Some(9),
        ..Wish::default()
    };
    assert_eq!(numbered().read(wish).await, "three\nfour\n");
}

#[tokio::test]
async fn parts_of_a_line_are_put_together_under_one_time() {
    let head = "1970-01-01T00:00:01.000000000Z stdout";
    let log = format!("{head} P ab\n{head} P cd\n{head} F ef\n{head} F next\n");
    let fixture = Fixture::new(&[("log", &log)]);
    assert_eq!(fixture.read(Wish::default()).await, "abcdef\nnext\n");
    let stamped = fixture
        .read(Wish {
            timestamps: true,
            ..Wish::default()
        })
        .await;
    assert_eq!(
        stamped,
        "1970-01-01T00:00:01.000000000Z abcdef\n1970-01-01T00:00:01.000000000Z next\n"
    );
    let last = fixture
        .read(Wish {
            tail_lines: Some(2),
            ..Wish::default()
        })
        .await;
    assert_eq!(last, "abcdef\nnext\n");
}

#[tokio::test]
async fn an_unfinished_record_is_not_shown_yet() {
    let log = line(1, "whole") + "1970-01-01T00:00:02.0Z stdout F ha";
    assert_eq!(
        Fixture::new(&[("log", &log)]).read(Wish::default()).await,
        "whole\n"
    );
}

#[tokio::test]
async fn a_followed_log_goes_on_through_a_rotation() {
    let fixture = Fixture::new(&[("log", &line(1, "one"))]);
    let folder = fixture.0.path();
    fs::remove_file(folder.join("exit.json")).unwrap();
    let (chunks, mut stream) = mpsc::channel(1);
    let wish = Wish {
        follow: true,
        ..Wish::default()
    };
    let reader = tokio::spawn(Reader::new(folder.to_path_buf(), wish).send(chunks));
    assert_eq!(stream.recv().await.unwrap().unwrap(), "one\n");
    fs::write(folder.join("log"), line(1, "one") + &line(2, "two")).unwrap();
    fs::rename(folder.join("log"), folder.join("log.1")).unwrap();
    fs::write(folder.join("log"), line(3, "three")).unwrap();
    let mut seen = String::new();
    while !seen.ends_with("three\n") {
        seen += std::str::from_utf8(&stream.recv().await.unwrap().unwrap()).unwrap();
    }
    assert_eq!(seen, "two\nthree\n");
    fs::write(folder.join("exit.json"), "").unwrap();
    assert!(stream.recv().await.is_none());
    reader.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_a_torrent_is_led_through_every_rotation() {
    let fixture = Fixture::new(&[("log", "")]);
    let folder = fixture.0.path().to_path_buf();
    fs::remove_file(folder.join("exit.json")).unwrap();
    let wish = Wish {
        follow: true,
        ..Wish::default()
    };
    let (chunks, mut stream) = mpsc::channel(1);
    let reader = tokio::spawn(Reader::new(folder.clone(), wish).send(chunks));
    // A new file after every few lines, far more often than in life.
    let writer = tokio::task::spawn_blocking(move || {
        let limits = LogLimits {
            file_bytes_max: 200,
            ..LogLimits::default()
        };
        let mut log = LogFiles::open(&folder.join("log"), limits).unwrap();
        for number in 0..4_000 {
            log.append(line(7, &format!("{number:06}")).as_bytes())
                .unwrap();
        }
        fs::write(folder.join("exit.json"), "").unwrap();
    });
    let mut seen = Vec::new();
    while let Some(chunk) = stream.recv().await {
        seen.extend_from_slice(&chunk.unwrap());
    }
    writer.await.unwrap();
    reader.await.unwrap();
    let seen = String::from_utf8(seen).unwrap();
    // Slower than the writer it may miss some, but none is torn, told twice, or
    // out of turn, and the end is there.
    let numbers: Vec<u32> = seen.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&3_999));
}
