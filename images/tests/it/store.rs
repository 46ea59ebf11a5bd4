use images::{Error, Images, Kind};

use crate::fixture::{Store, Tar, docker_archive, store};

async fn import(store: &Store, name: &str, layers: &[&[u8]]) -> images::Digest {
    let archive = store.dir.path().join("a.tar");
    let layers: Vec<_> = layers
        .iter()
        .map(|content| Tar::new().file("a", content).bytes())
        .collect();
    docker_archive(&archive, &[name], &layers);
    store.images.import(&archive).await.unwrap()[0].id.clone()
}

#[tokio::test]
async fn directory_of_another_version_is_refused_with_advice() {
    let store = store();
    let dir = store.dir.path().join("images");
    std::fs::write(dir.join("version"), "99\n").unwrap();
    let error = Images::open(&dir).err().unwrap();
    assert!(matches!(&error, Error::Version { found, .. } if found == "99"));
    assert!(
        error.to_string().contains("use the skiff that wrote it"),
        "{error}"
    );
}

#[tokio::test]
async fn images_outlive_the_process_and_are_seen_by_others() {
    let store = store();
    let other = Images::open(store.dir.path().join("images")).unwrap();
    assert!(other.list().await.unwrap().is_empty());
    let id = import(&store, "a:1", &[b"1"]).await;
    assert_eq!(other.list().await.unwrap()[0].id, id);
    let again = Images::open(store.dir.path().join("images")).unwrap();
    assert_eq!(again.lookup(&id.hex()[..12]).await.unwrap().unwrap().id, id);
}

#[tokio::test]
async fn removed_image_takes_along_only_layers_that_no_other_needs() {
    let store = store();
    import(&store, "a:1", &[b"base", b"a"]).await;
    import(&store, "b:1", &[b"base", b"b"]).await;
    assert_eq!(store.count("layers"), 3);
    let removed = store.images.remove("a:1").await.unwrap();
    assert_eq!(removed.untagged, ["docker.io/library/a:1"]);
    assert!(removed.deleted.is_some());
    assert_eq!((store.count("layers"), store.count("blobs")), (2, 1));
    assert_eq!(
        store.images.remove("a:1").await.unwrap_err().kind(),
        Kind::NotFound
    );
    store.images.remove("b:1").await.unwrap();
    assert_eq!(
        (
            store.count("layers"),
            store.count("blobs"),
            store.count("staging")
        ),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn layers_that_are_held_stay_until_released() {
    let store = store();
    import(&store, "a:1", &[b"1"]).await;
    let image = store.images.list().await.unwrap().remove(0);
    store.images.hold(&image, "container").await.unwrap();
    store.images.remove("a:1").await.unwrap();
    assert!(image.layers[0].join("a").exists());
    store.images.release("container").await.unwrap();
    Images::open(store.dir.path().join("images")).unwrap();
    assert!(!image.layers[0].exists());
    assert!(store.images.hold(&image, "../x").await.is_err());
}

#[tokio::test]
async fn name_moves_to_the_image_imported_last() {
    let store = store();
    import(&store, "a:1", &[b"1"]).await;
    let second = import(&store, "a:1", &[b"2"]).await;
    let all = store.images.list().await.unwrap();
    assert_eq!((all.len(), &all[0].id), (1, &second));
}

#[tokio::test]
async fn what_a_killed_process_left_is_gone_after_the_next_open() {
    let store = store();
    let dir = store.dir.path().join("images");
    std::fs::create_dir_all(dir.join("staging/x/layer/etc")).unwrap();
    std::fs::create_dir(dir.join("layers").join("a".repeat(64))).unwrap();
    std::fs::write(dir.join("blobs").join("b".repeat(64)), "x").unwrap();
    Images::open(&dir).unwrap();
    assert_eq!(
        (
            store.count("layers"),
            store.count("blobs"),
            store.count("staging")
        ),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn image_whose_files_are_gone_is_not_offered() {
    let store = store();
    let id = import(&store, "a:1", &[b"1"]).await;
    let dir = store.dir.path().join("images");
    std::fs::write(dir.join("blobs").join(id.hex()), "{}").unwrap();
    assert!(Images::open(&dir).unwrap().list().await.unwrap().is_empty());
    assert_eq!(import(&store, "a:1", &[b"1"]).await, id);
    assert_eq!(Images::open(&dir).unwrap().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn images_are_held_by_whoever_stands_on_their_layers() {
    let store = store();
    let first = import(&store, "a:1", &[b"base", b"a"]).await;
    import(&store, "b:1", &[b"base"]).await;
    let images = store.images.list().await.unwrap();
    assert!(store.images.held().await.unwrap().is_empty());
    let image = images.iter().find(|image| image.id == first).unwrap();
    store.images.hold(image, "container").await.unwrap();
    let held = store.images.held().await.unwrap();
    assert_eq!(held.into_iter().collect::<Vec<_>>(), [first]);
}

#[tokio::test]
async fn an_image_that_went_before_it_was_held_is_not_held() {
    let store = store();
    import(&store, "a:1", &[b"1"]).await;
    let image = store.images.list().await.unwrap().remove(0);
    store.images.remove("a:1").await.unwrap();
    let refused = store.images.hold(&image, "container").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
}

#[tokio::test]
async fn pins_outlive_the_process_and_a_new_import() {
    let store = store();
    import(&store, "a:1", &[b"1"]).await;
    let dir = store.dir.path().join("images");
    let is_pinned = async || {
        let images = Images::open(&dir).unwrap().list().await.unwrap();
        images[0].is_pinned
    };
    assert!(!is_pinned().await);
    assert!(store.images.pin("a:1", true).await.unwrap().is_pinned);
    import(&store, "a:1", &[b"1"]).await;
    assert!(is_pinned().await);
    store.images.pin("a:1", false).await.unwrap();
    assert!(!is_pinned().await);
    let missing = store.images.pin("b:1", true).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
}
