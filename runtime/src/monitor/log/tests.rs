use super::*;

const LIMITS: LogLimits = LogLimits {
    max_bytes: 1 << 20,
    max_files: 3,
};

fn now() -> Timestamp {
    "2026-11-23T05:05:22.000000120Z".parse().unwrap()
}

fn split(parts: &[&[u8]]) -> Vec<(char, usize)> {
    let (mut unfinished, mut records) = (Unfinished::default(), Vec::new());
    for part in parts {
        unfinished.split(part, |mark, line| {
            records.push((char::from(mark), line.len()))
        });
    }
    records
}

#[test]
fn a_record_is_time_stream_mark_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    let mut log = Log::open(&path, LIMITS).unwrap();
    let mut unfinished = Unfinished::default();
    log.write(Stream::Stdout, &mut unfinished, b"one\ntw", now())
        .unwrap();
    log.write(Stream::Stdout, &mut unfinished, b"o\n\nlast", now())
        .unwrap();
    log.finish(Stream::Stdout, &mut unfinished, now()).unwrap();
    let expected = "\
2026-11-23T05:05:22.000000120Z stdout F one
2026-11-23T05:05:22.000000120Z stdout F two
2026-11-23T05:05:22.000000120Z stdout F 
2026-11-23T05:05:22.000000120Z stdout F last
";
    assert_eq!(fs::read_to_string(path).unwrap(), expected);
}

#[test]
fn a_line_of_40000_bytes_is_two_parts_and_an_end() {
    let line = [&[b'a'; 40_000][..], b"\nend\n"].concat();
    assert_eq!(
        split(&[&line]),
        [('P', 16384), ('P', 16384), ('F', 7232), ('F', 3)]
    );
}

#[test]
fn a_line_of_exactly_16_kib_is_one_record() {
    assert_eq!(split(&[&[b'a'; 16384], b"\n"]), [('F', 16384)]);
}

#[test]
fn a_full_log_is_moved_aside_and_the_oldest_go() {
    let dir = tempfile::tempdir().unwrap();
    let limits = LogLimits {
        max_bytes: 100,
        max_files: 3,
    };
    let mut log = Log::open(&dir.path().join("0.log"), limits).unwrap();
    for second in 0..10 {
        let now = now() + jiff::SignedDuration::from_secs(second);
        let line = [&[b'x'; 100][..], b"\n"].concat();
        log.write(Stream::Stderr, &mut Unfinished::default(), &line, now)
            .unwrap();
    }
    let mut names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "0.log",
        "0.log.20261123-050530.000000",
        "0.log.20261123-050531.000000",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_log_is_never_opened_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/null", dir.path().join("0.log")).unwrap();
    assert!(Log::open(&dir.path().join("0.log"), LIMITS).is_err());
}
