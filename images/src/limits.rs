//! The most that is taken from anyone, in one place.

/// Manifests and indexes.
pub const MANIFEST: u64 = 4 << 20;
/// Image configurations.
pub const CONFIG: u64 = 8 << 20;
/// Answers of token servers and error bodies.
pub const ANSWER: u64 = 1 << 20;
/// Indexes within indexes.
pub const INDEX_DEPTH: usize = 4;
/// Entries of one index.
pub const INDEX_ENTRIES: usize = 1024;
/// Layers of one image: what overlayfs can stack.
pub const LAYERS: usize = 500;
/// Images in one archive.
pub const ARCHIVE_IMAGES: usize = 1024;
/// One layer as transferred.
pub const LAYER: u64 = 64 << 30;
/// One layer's tar stream: stops a decompression bomb before the disk is full.
pub const LAYER_UNPACKED: u64 = 128 << 30;
/// Files, directories and links of one layer.
pub const ENTRIES: u64 = 4_000_000;
/// Files in an image archive.
pub const ARCHIVE_ENTRIES: usize = 100_000;
/// Extended headers (long names, pax records) of one tar entry.
pub const TAR_EXTENSION: u64 = 1 << 20;
/// Path of one entry.
pub const PATH: usize = 4096;
/// Directories above one entry.
pub const PATH_DEPTH: usize = 256;
