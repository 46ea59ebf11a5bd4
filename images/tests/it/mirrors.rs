//! Images from somewhere else than their names say, and images as archives.

use images::{Images, Kind, Reference, Registries};

use crate::{
    fixture::{Store, store},
    registry::Registry,
};

/// A store that asks `mirrors` for the images of a registry that nobody has.
fn with_mirrors(mirrors: &[String]) -> Store {
    let mut store = store();
    let file = store.dir.path().join("registries.yaml");
    let endpoints = mirrors.join(", ");
    std::fs::write(
        &file,
        format!("mirrors: {{'nowhere.invalid': {{endpoint: [{endpoints}]}}}}\n"),
    )
    .unwrap();
    let registries = Registries::read(&file).unwrap();
    store.images = Images::open_with(store.dir.path().join("images"), registries).unwrap();
    store
}

#[tokio::test]
async fn first_mirror_that_has_an_image_gives_it_under_its_own_name() {
    let Some(registry) = Registry::start("") else {
        return;
    };
    let mirrors = [
        "http://127.0.0.1:9".to_owned(),
        format!("http://{}", registry.address),
    ];
    let store = with_mirrors(&mirrors);
    registry.push(&store, "team/web:1", &[]);
    let name: Reference = "nowhere.invalid/team/web:1".parse().unwrap();
    let image = store.images.pull(&name, None).await.unwrap();
    assert_eq!(image.names, ["nowhere.invalid/team/web:1"]);
    assert!(image.repo_digests[0].starts_with("nowhere.invalid/team/web@sha256:"));
    assert_eq!(
        store.images.find(&name).await.unwrap().unwrap().id,
        image.id
    );
}

#[tokio::test]
async fn image_that_no_mirror_has_says_what_each_of_them_said() {
    let store = with_mirrors(&["http://127.0.0.1:9".to_owned()]);
    let name: Reference = "nowhere.invalid/web:1".parse().unwrap();
    let error = store.images.pull(&name, None).await.unwrap_err();
    let text = error.chain();
    assert!(
        text.contains(": 127.0.0.1:9: failed to resolve reference"),
        "{text}"
    );
    assert!(
        text.contains("connection refused; nowhere.invalid: failed to resolve reference"),
        "{text}"
    );
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[tokio::test]
async fn images_are_saved_as_they_are_and_nothing_of_them_stays() {
    let Some(registry) = Registry::start("") else {
        return;
    };
    let (here, there) = (store(), store());
    registry.push(&here, "web:1", &[]);
    let names = [registry.name("web:1"), registry.name("web:1")];
    let archive = here.dir.path().join("web.tar");
    here.images.save(&names, &archive).await.unwrap();
    assert!(here.images.list().await.unwrap().is_empty());
    let files = std::fs::read_dir(here.dir.path()).unwrap();
    let hidden = files.filter(|file| {
        file.as_ref()
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with('.')
    });
    assert_eq!(hidden.count(), 0);
    let imported = there.images.import(&archive).await.unwrap();
    let pulled = here.images.pull(&names[0], None).await.unwrap();
    assert_eq!(imported.len(), 1);
    assert_eq!(imported[0].id, pulled.id);
    assert_eq!(imported[0].names, [names[0].to_string()]);
    let missing = here
        .images
        .save(&[registry.name("none:1")], &archive)
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    there.images.import(&archive).await.unwrap();
}
