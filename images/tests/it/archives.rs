use std::{
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    process::Command,
};

use images::{Kind, Reference, build};

use crate::fixture::{Tar, docker_archive, gzip, have, run, store, umoci_layout};

#[tokio::test]
async fn docker_archive_is_listed_and_unpacked_under_its_names() {
    let store = store();
    let archive = store.dir.path().join("a.tar");
    let layer = Tar::new()
        .directory("etc", 0o750)
        .file("etc/hello", b"hi")
        .bytes();
    let id = docker_archive(&archive, &["busybox:1", "localhost:5000/b:2"], &[layer]);
    let imported = store.images.import(&archive).await.unwrap();
    assert_eq!(imported.len(), 1);
    assert_eq!(
        imported[0].names,
        ["docker.io/library/busybox:1", "localhost:5000/b:2"]
    );
    let found = store
        .images
        .find(&"busybox:1".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.id.clone(), found.env(), found.default_command().1),
        (id, &["A=b".into()][..], &["sh".into()][..])
    );
    let etc = found.layers[0].join("etc");
    let meta = std::fs::metadata(&etc).unwrap();
    assert_eq!(
        (meta.permissions().mode() & 0o7777, meta.uid(), meta.gid()),
        (0o750, 7, 8)
    );
    assert_eq!(
        (
            meta.mtime(),
            std::fs::read_to_string(etc.join("hello")).unwrap()
        ),
        (1_000_000_000, "hi".into())
    );
    assert!(found.repo_digests.is_empty());
}

#[tokio::test]
async fn compressed_archive_of_compressed_layers_is_the_same_image() {
    let store = store();
    let (plain, packed) = (
        store.dir.path().join("a.tar"),
        store.dir.path().join("b.tar.gz"),
    );
    let layer = Tar::new().file("a", b"1").bytes();
    let id = docker_archive(&plain, &["a:1"], std::slice::from_ref(&layer));
    let bytes = std::fs::read(&plain).unwrap();
    std::fs::write(&packed, gzip(&bytes)).unwrap();
    assert_eq!(store.images.import(&packed).await.unwrap()[0].id, id);
    assert_eq!(store.count("layers"), 1);
}

#[tokio::test]
async fn damaged_layer_is_refused_and_leaves_nothing() {
    let store = store();
    let archive = store.dir.path().join("a.tar");
    let layer = Tar::new().file("hello", b"0123456789").bytes();
    docker_archive(&archive, &["a:1"], &[layer]);
    let mut bytes = std::fs::read(&archive).unwrap();
    let at = bytes
        .windows(10)
        .position(|window| window == b"0123456789")
        .unwrap();
    bytes[at] = b'X';
    std::fs::write(&archive, bytes).unwrap();
    let error = store.images.import(&archive).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.chain().contains("was promised"), "{}", error.chain());
    assert!(store.images.list().await.unwrap().is_empty());
    assert_eq!((store.count("layers"), store.count("staging")), (0, 0));
}

#[tokio::test]
async fn what_is_no_image_is_said_to_be_none() {
    let store = store();
    let file = store.dir.path().join("x");
    for content in [&b"not a tar"[..], b"", &Tar::new().file("a", b"b").bytes()] {
        std::fs::write(&file, content).unwrap();
        let message = store.images.import(&file).await.unwrap_err().chain();
        assert!(
            message.ends_with(
                "neither a docker archive, nor an OCI archive, nor an OCI layout directory"
            ),
            "{message}"
        );
    }
    assert!(
        store
            .images
            .import(&store.dir.path().join("none"))
            .await
            .unwrap_err()
            .chain()
            .contains("No such file")
    );
}

#[tokio::test]
async fn umoci_layout_is_imported_with_its_whiteouts() {
    if !have(&["umoci"]) {
        return;
    }
    let store = store();
    let layout = umoci_layout(store.dir.path(), "web");
    let image = store.images.import(&layout).await.unwrap().remove(0);
    assert_eq!(image.names, ["docker.io/library/web:latest"]);
    assert_eq!((image.layers.len(), image.user()), (2, "1000:1000"));
    assert_eq!(
        std::fs::read_to_string(image.layers[0].join("etc/removed")).unwrap(),
        "removed"
    );
    let whiteout = std::fs::symlink_metadata(image.layers[1].join("etc/removed")).unwrap();
    assert!(whiteout.file_type().is_char_device());
    assert_eq!(whiteout.rdev(), 0);
}

#[tokio::test]
async fn overlay_of_the_layers_shows_what_the_image_means() {
    if !have(&["umoci", "unshare", "mount"]) {
        return;
    }
    let store = store();
    let layout = umoci_layout(store.dir.path(), "web");
    let image = store.images.import(&layout).await.unwrap().remove(0);
    let mut lower: Vec<_> = image
        .layers
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    lower.reverse();
    let target = store.dir.path().join("merged");
    std::fs::create_dir(&target).unwrap();
    let script = format!(
        "mount -t overlay o -o lowerdir={} {1} && ls {1}/etc",
        lower.join(":"),
        target.display()
    );
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "kept\n");
}

#[tokio::test]
async fn archives_that_skopeo_writes_are_imported() {
    if !have(&["umoci", "skopeo"]) {
        return;
    }
    let store = store();
    let dir = store.dir.path();
    let source = format!("oci:{}:web", umoci_layout(dir, "web").display());
    let (docker, oci) = (dir.join("docker.tar"), dir.join("oci.tar"));
    run(
        "skopeo",
        &[
            "copy",
            "-q",
            &source,
            &format!("docker-archive:{}:example.com/web:1", docker.display()),
        ],
    );
    run(
        "skopeo",
        &[
            "copy",
            "-q",
            &source,
            &format!("oci-archive:{}:example.com/web:2", oci.display()),
        ],
    );
    let one = store.images.import(&docker).await.unwrap().remove(0);
    let two = store.images.import(&oci).await.unwrap().remove(0);
    assert_eq!(one.names, ["example.com/web:1"]);
    assert!(
        two.names.contains(&"example.com/web:2".to_owned()),
        "{:?}",
        two.names
    );
    assert_eq!(one.layers, two.layers, "the layers are shared");
}

#[tokio::test]
async fn name_given_by_the_caller_replaces_the_archives() {
    let store = store();
    let archive = store.dir.path().join("a.tar");
    docker_archive(&archive, &["a:1"], &[Tar::new().file("a", b"1").bytes()]);
    let name: Reference = "mine:2".parse().unwrap();
    let image = store
        .images
        .import_as(&archive, Some(&name))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(image.names, ["docker.io/library/mine:2"]);
    docker_archive(&archive, &[], &[Tar::new().file("a", b"2").bytes()]);
    assert!(
        store
            .images
            .import(&archive)
            .await
            .unwrap_err()
            .chain()
            .contains("--as")
    );
}

#[tokio::test]
async fn image_made_of_a_binary_is_the_same_each_time() {
    let store = store();
    let build = || {
        build::from_binary(
            "demo:1".parse().unwrap(),
            "/bin/true",
            "/usr/bin/demo",
            &["-x"],
        )
        .user("65534")
    };
    let one = store.images.add(build()).await.unwrap();
    let two = store.images.add(build()).await.unwrap();
    assert_eq!(
        (&one.id, one.layers.len(), one.user()),
        (&two.id, 1, "65534")
    );
    assert_eq!(
        one.default_command(),
        (&["/usr/bin/demo".into()][..], &["-x".into()][..])
    );
    let binary = one.layers[0].join("usr/bin/demo");
    assert_eq!(
        std::fs::read(&binary).unwrap(),
        std::fs::read("/bin/true").unwrap()
    );
    assert_eq!(
        std::fs::metadata(&binary).unwrap().permissions().mode() & 0o7777,
        0o755
    );
}
