use super::*;

impl Source for &[u8] {}

fn one(header: &mut Header, path: &str, content: &[u8]) -> Vec<u8> {
    header.set_path(path).unwrap();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut content = String::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len() + 1;
        while length != rest.len() + length.to_string().len() {
            length = rest.len() + length.to_string().len();
        }
        content += &format!("{length}{rest}");
    }
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    one(&mut header, "pax", content.as_bytes())
}

#[test]
fn pax_records_win_over_the_header() {
    let mut bytes = pax(&[
        ("path", "long/näme"),
        ("mtime", "7.25"),
        ("uid", "70000"),
        ("SCHILY.xattr.user.a", "b=c\n"),
    ]);
    bytes.extend(one(&mut Header::new_ustar(), "short", b"hello"));
    let mut tar = Tarball::new(&bytes[..]);
    let entry = tar.next().unwrap().unwrap();
    assert_eq!(entry.path, "long/näme".as_bytes());
    assert_eq!(
        (entry.mtime, entry.uid, entry.gid),
        ((7, 250_000_000), 70000, 2)
    );
    assert_eq!(entry.xattrs, [(b"user.a".to_vec(), b"b=c\n".to_vec())]);
    let mut content = String::new();
    tar.read_to_string(&mut content).unwrap();
    assert_eq!(content, "hello");
    assert_eq!(tar.next().unwrap(), None);
}

#[test]
fn content_that_nobody_reads_is_passed_over() {
    let mut bytes = one(&mut Header::new_gnu(), "a", &[1; 700]);
    bytes.extend(one(&mut Header::new_gnu(), "b", b""));
    let mut tar = Tarball::new(&bytes[..]);
    assert_eq!(tar.next().unwrap().unwrap().position, 512);
    assert_eq!(tar.next().unwrap().unwrap().path, b"b");
}

#[test]
fn extended_header_over_the_limit_is_refused_before_it_is_read() {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    let mut bytes = one(&mut header, "pax", b"");
    header.set_size(1 << 40);
    header.set_cksum();
    bytes.splice(..512, header.as_bytes().iter().copied());
    assert!(
        Tarball::new(&bytes[..])
            .next()
            .unwrap_err()
            .to_string()
            .contains("more than 1 MiB")
    );
}

#[test]
fn truncated_and_garbled_archives_are_errors() {
    let bytes = one(&mut Header::new_gnu(), "a", &[1; 700]);
    let mut cut = Tarball::new(&bytes[..800]);
    cut.next().unwrap();
    assert!(cut.next().is_err());
    assert!(Tarball::new(&[b'x'; 512][..]).next().is_err());
    assert!(Tarball::new(&bytes[..100]).next().is_err());
}

#[test]
fn times_before_1970_keep_their_fraction() {
    assert_eq!(parse_time(b"-1.25"), Some((-2, 750_000_000)));
    assert_eq!(parse_time(b"12"), Some((12, 0)));
    assert_eq!(parse_time(b"x"), None);
}

#[test]
fn numbers_that_do_not_add_up_are_refused() {
    let entry = |kind, size: u64| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        let mut bytes = one(&mut header, "a", b"");
        header.set_size(size);
        header.set_cksum();
        bytes.splice(..512, header.as_bytes().iter().copied());
        bytes
    };
    // The second size takes the sum of both past 2^64, to below the limit again.
    let small = one(&mut Header::new_gnu(), "x", b"");
    let sum = [
        entry(EntryType::XHeader, 1),
        small,
        entry(EntryType::XHeader, u64::MAX),
    ]
    .concat();
    let cases = [
        entry(EntryType::Regular, u64::MAX),
        entry(EntryType::XHeader, u64::MAX),
        sum,
        [
            pax(&[("size", "18446744073709551615")]),
            entry(EntryType::Regular, 0),
        ]
        .concat(),
        [pax(&[("uid", "4294967295")]), entry(EntryType::Regular, 0)].concat(),
    ];
    for bytes in cases {
        let mut tar = Tarball::new(&bytes[..]);
        let found = std::iter::from_fn(|| tar.next().transpose()).find_map(Result::err);
        assert!(found.is_some_and(|e| e.to_string().starts_with("invalid tar")));
    }
    assert_eq!(parse_time(b"-9223372036854775808.5"), None);
}
