use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::PathBuf,
};

use tar::{EntryType, Header};
use tempfile::TempDir;

use super::*;

/// Raw headers: `tar::Builder` refuses the paths that matter here.
#[derive(Default)]
struct Layer(Vec<u8>);

impl Layer {
    fn entry(mut self, kind: EntryType, path: &str, link: &str, content: &[u8], mode: u32) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_link_name_literal(link).unwrap();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(12);
        header.set_gid(34);
        header.set_mtime(1000);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, path, "", content.as_bytes(), 0o644)
    }

    fn dir(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"", 0o755)
    }

    fn symlink(self, path: &str, to: &str) -> Self {
        self.entry(EntryType::Symlink, path, to, b"", 0o777)
    }

    fn hardlink(self, path: &str, to: &str) -> Self {
        self.entry(EntryType::Link, path, to, b"", 0o644)
    }

    fn unpack(&self) -> (TempDir, PathBuf, Result<Unpacked>) {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let result = unpack(&self.0[..], &root);
        (dir, root, result)
    }

    fn unpacked(&self) -> (TempDir, PathBuf) {
        let (dir, root, result) = self.unpack();
        result.unwrap();
        (dir, root)
    }
}

fn is_whiteout(path: &std::path::Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|meta| meta.file_type().is_char_device() && meta.rdev() == 0)
}

fn is_opaque(path: &std::path::Path) -> bool {
    let mut value = [0; 1];
    rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value[..])
        .is_ok_and(|_| value == *b"y")
}

#[test]
fn every_kind_of_entry_gets_its_owner_mode_and_time() {
    let layer = Layer::default()
        .dir("d/")
        .entry(EntryType::Regular, "d/suid", "", b"x", 0o4755)
        .entry(EntryType::Char, "null", "", b"", 0o666)
        .entry(EntryType::Fifo, "fifo", "", b"", 0o600)
        .symlink("link", "/nowhere")
        .hardlink("hard", "d/suid");
    let (_dir, root) = layer.unpacked();
    for path in ["d", "d/suid", "null", "fifo", "link", "hard"] {
        let meta = root.join(path).symlink_metadata().unwrap();
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mtime()),
            (12, 34, 1000),
            "{path}"
        );
    }
    let meta = |path: &str| root.join(path).symlink_metadata().unwrap();
    assert_eq!(meta("d/suid").permissions().mode() & 0o7777, 0o4755);
    assert_eq!(
        (meta("null").rdev(), meta("null").mode() & 0o777),
        (rustix::fs::makedev(1, 3), 0o666)
    );
    assert_eq!(meta("hard").ino(), meta("d/suid").ino());
    assert_eq!(
        fs::read_link(root.join("link")).unwrap(),
        PathBuf::from("/nowhere")
    );
}

#[test]
fn links_cannot_lead_out_of_the_layer() {
    let outside = TempDir::new().unwrap();
    let target = outside.path().to_str().unwrap();
    let layer = Layer::default()
        .symlink("abs", target)
        .symlink("rel", "../../../../../../tmp");
    let layer = layer.file("abs/file", "x").file("rel/file", "y");
    let (_dir, root, result) = layer.unpack();
    result.unwrap();
    assert!(!outside.path().join("file").exists() && !PathBuf::from("/tmp/file").exists());
    // The link's text is kept for the container, the file landed beneath the layer's own root or replaced the link.
    assert!(root.join("rel").symlink_metadata().is_ok());
}

#[test]
fn paths_with_dots_and_hard_links_to_the_outside_are_refused() {
    for layer in [
        Layer::default().file("../evil", "x"),
        Layer::default().file("a/../../evil", "x"),
        Layer::default().hardlink("evil", "../../etc/passwd"),
        Layer::default().hardlink("evil", "/etc/passwd"),
        Layer::default().file(".wh..", "x"),
        Layer::default().file(".wh.", "x"),
    ] {
        let (dir, _, result) = layer.unpack();
        assert!(matches!(result, Err(Error::Entry { .. })), "{result:?}");
        assert!(!dir.path().join("evil").exists());
    }
}

#[test]
fn file_through_a_link_to_a_file_does_not_write_the_file() {
    let layer = Layer::default()
        .file("passwd", "root")
        .symlink("link", "passwd")
        .file("link", "evil");
    let (_dir, root) = layer.unpacked();
    assert_eq!(fs::read_to_string(root.join("passwd")).unwrap(), "root");
    assert_eq!(fs::read_to_string(root.join("link")).unwrap(), "evil");
}

#[test]
fn whiteouts_become_those_of_overlay() {
    let layer = Layer::default()
        .dir("etc")
        .file("etc/.wh.gone", "")
        .dir("var")
        .file("var/.wh..wh..opq", "");
    let (_dir, root) = layer.unpacked();
    assert!(is_whiteout(&root.join("etc/gone")));
    assert!(is_opaque(&root.join("var")) && !is_opaque(&root.join("etc")));
}

#[test]
fn whiteout_does_not_hide_what_its_own_layer_has() {
    let layer = Layer::default()
        .dir("a")
        .file("a/x", "1")
        .file(".wh.a", "")
        .file("f", "1")
        .file(".wh.f", "");
    let (_dir, root) = layer.unpacked();
    assert!(is_opaque(&root.join("a")));
    assert_eq!(fs::read_to_string(root.join("a/x")).unwrap(), "1");
    assert_eq!(fs::read_to_string(root.join("f")).unwrap(), "1");
    let (_dir, root) = Layer::default()
        .file(".wh.a", "")
        .dir("a")
        .file("a/x", "1")
        .unpacked();
    assert!(is_opaque(&root.join("a")) && root.join("a/x").exists());
    let (_dir, root) = Layer::default()
        .file(".wh.a", "")
        .file("a/x", "1")
        .unpacked();
    assert!(is_opaque(&root.join("a")) && root.join("a/x").exists());
}

#[test]
fn directories_without_an_entry_are_made_and_told() {
    let (_dir, root, result) = Layer::default().file("usr/lib/x", "1").dir("usr").unpack();
    assert_eq!(result.unwrap().implied, [b"usr/lib".to_vec()].into());
    let below = TempDir::new().unwrap();
    fs::create_dir_all(below.path().join("usr/lib")).unwrap();
    fs::set_permissions(
        below.path().join("usr/lib"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    inherit(
        &root,
        &[b"usr/lib".to_vec()].into(),
        &[below.path().to_owned()],
    )
    .unwrap();
    assert_eq!(
        fs::metadata(root.join("usr/lib"))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o700
    );
}

#[test]
fn later_entry_of_a_name_replaces_the_earlier() {
    let layer = Layer::default()
        .dir("a")
        .file("a/b", "1")
        .file("a", "2")
        .file("x", "1")
        .dir("x")
        .file("x/y", "3");
    let (_dir, root) = layer.unpacked();
    assert_eq!(fs::read_to_string(root.join("a")).unwrap(), "2");
    assert_eq!(fs::read_to_string(root.join("x/y")).unwrap(), "3");
}

#[test]
fn overlays_own_attributes_are_not_taken_from_a_layer() {
    assert!(!is_kept(b"trusted.overlay.redirect") && !is_kept(b"user.overlay.opaque"));
    assert!(
        is_kept(b"security.capability")
            && is_kept(b"user.comment")
            && !is_kept(b"security.selinux")
    );
}
