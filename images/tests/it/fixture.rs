//! Images to try things on.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use images::{Digest, Images};
use tar::{EntryType, Header};
use tempfile::TempDir;

/// A store of its own in a directory of its own.
pub struct Store {
    pub images: Images,
    pub dir: TempDir,
}

pub fn store() -> Store {
    let dir = TempDir::new().unwrap();
    let images = Images::open(dir.path().join("images")).unwrap();
    Store { images, dir }
}

impl Store {
    pub fn count(&self, what: &str) -> usize {
        std::fs::read_dir(self.dir.path().join("images").join(what))
            .unwrap()
            .count()
    }
}

/// A tar stream, entry by entry.
pub struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub fn file(mut self, path: &str, content: &[u8]) -> Self {
        let mut header = header(EntryType::Regular, 0o644);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content).unwrap();
        self
    }

    pub fn directory(mut self, path: &str, mode: u32) -> Self {
        self.0
            .append_data(&mut header(EntryType::Directory, mode), path, &[][..])
            .unwrap();
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_000_000_000);
    header.set_size(0);
    header
}

/// A docker archive of one image, written to `path`.
pub fn docker_archive(path: &Path, names: &[&str], layers: &[Vec<u8>]) -> Digest {
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|layer| Digest::of(layer).to_string())
        .collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string();
    let files: Vec<String> = (0..layers.len())
        .map(|n| format!("{n}/layer.tar"))
        .collect();
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": names, "Layers": files}])
            .to_string();
    let mut tar = Tar::new()
        .file("config.json", config.as_bytes())
        .file("manifest.json", manifest.as_bytes());
    for (file, layer) in files.iter().zip(layers) {
        tar = tar.file(file, layer);
    }
    std::fs::write(path, tar.bytes()).unwrap();
    Digest::of(config.as_bytes())
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// False, with the reason on the terminal, when a program this test needs is not installed.
pub fn have(programs: &[&str]) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_there = |program: &str| {
        path.split(':')
            .any(|dir| Path::new(dir).join(program).exists())
    };
    let missing: Vec<_> = programs
        .iter()
        .filter(|program| !is_there(program))
        .collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED: {missing:?} not installed (Debian: skopeo umoci docker-registry)");
    }
    missing.is_empty()
}

pub fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An OCI layout made by umoci: two layers, the second of which removes a file of the first.
pub fn umoci_layout(dir: &Path, tag: &str) -> PathBuf {
    let layout = dir.join("layout");
    let bundle = dir.join("bundle");
    let image = format!("{}:{tag}", layout.display());
    let (layout_text, bundle_text) = (layout.to_str().unwrap(), bundle.to_str().unwrap());
    run("umoci", &["init", "--layout", layout_text]);
    run("umoci", &["new", "--image", &image]);
    run("umoci", &["unpack", "--image", &image, bundle_text]);
    std::fs::create_dir(bundle.join("rootfs/etc")).unwrap();
    std::fs::write(bundle.join("rootfs/etc/kept"), "kept").unwrap();
    std::fs::write(bundle.join("rootfs/etc/removed"), "removed").unwrap();
    run(
        "umoci",
        &["repack", "--refresh-bundle", "--image", &image, bundle_text],
    );
    std::fs::remove_file(bundle.join("rootfs/etc/removed")).unwrap();
    run("umoci", &["repack", "--image", &image, bundle_text]);
    run(
        "umoci",
        &[
            "config",
            "--image",
            &image,
            "--config.cmd",
            "sh",
            "--config.user",
            "1000:1000",
        ],
    );
    layout
}
