use std::sync::Mutex as Lock;

use super::*;

/// Images of 100 bytes each on a disk of a thousand.
struct Fake {
    images: Lock<Vec<Found>>,
    others: u64,
    is_broken: bool,
}

impl Shelf for Fake {
    async fn look(&self) -> images::Result<Vec<Found>> {
        Ok(self.images.lock().unwrap().clone())
    }

    async fn remove(&self, id: &str) -> images::Result<()> {
        if self.is_broken {
            let wanted = id.to_owned();
            return Err(images::Error::Ambiguous { wanted });
        }
        self.images.lock().unwrap().retain(|image| image.id != id);
        Ok(())
    }

    fn room(&self) -> Option<Room> {
        let used = self.others + 100 * self.images.lock().unwrap().len() as u64;
        Some(Room {
            bytes: 1000,
            bytes_free: 1000 - used,
            ..Room::default()
        })
    }
}

fn collector(used: usize, unused: usize, others: u64) -> Collector<Fake> {
    let image = |n: usize| Found {
        id: format!("{n}"),
        is_used: n < used,
        is_pinned: false,
    };
    Collector {
        flags: ImageGc {
            high_threshold: 85,
            low_threshold: 80,
            minimum_age: Duration::from_secs(120),
            maximum_age: Duration::ZERO,
        },
        shelf: Fake {
            images: Lock::new((0..used + unused).map(image).collect()),
            others,
            is_broken: false,
        },
        events: NodeEvents::new(&events::Events::new(), "n"),
        seen: Mutex::default(),
        begun: Instant::now(),
    }
}

async fn left(collector: &Collector<Fake>) -> Vec<String> {
    let images = collector.shelf.look().await.unwrap();
    images.into_iter().map(|image| image.id).collect()
}

#[tokio::test(start_paused = true)]
async fn no_more_goes_than_must_and_not_before_its_time() {
    let collector = collector(2, 5, 200);
    let why = collector.collect().await.unwrap_err();
    assert!(
        why.ends_with("Attempted to free 100 bytes, but only found 0 bytes eligible to free."),
        "{why}"
    );
    assert_eq!(left(&collector).await.len(), 7, "all are new");
    tokio::time::advance(Duration::from_secs(120)).await;
    collector.collect().await.unwrap();
    assert_eq!(left(&collector).await, ["0", "1", "3", "4", "5", "6"]);
    collector.collect().await.unwrap();
    assert_eq!(left(&collector).await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn images_in_use_stay_however_full_the_disk() {
    let collector = collector(3, 1, 600);
    collector.note().await.unwrap();
    tokio::time::advance(Duration::from_secs(600)).await;
    let why = collector.collect().await.unwrap_err();
    assert!(
        why.ends_with("Attempted to free 200 bytes, but only found 100 bytes eligible to free."),
        "{why}"
    );
    assert_eq!(left(&collector).await, ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_shelf_that_refuses_is_told_of() {
    let mut collector = collector(0, 9, 0);
    collector.shelf.is_broken = true;
    collector.note().await.unwrap();
    tokio::time::advance(Duration::from_secs(600)).await;
    let why = collector.collect().await.unwrap_err();
    assert!(why.contains("ambiguous"), "{why}");
}

#[test]
fn thresholds_must_make_sense() {
    let check = |high_threshold, low_threshold, minutes: [u64; 2]| {
        let [minimum_age, maximum_age] = minutes.map(|m| Duration::from_secs(60 * m));
        let flags = ImageGc {
            high_threshold,
            low_threshold,
            minimum_age,
            maximum_age,
        };
        flags.check()
    };
    assert!(check(85, 80, [2, 0]).is_ok());
    assert!(check(100, 80, [2, 3]).is_ok());
    assert!(check(80, 80, [2, 0]).unwrap_err().contains("not below"));
    assert!(check(101, 80, [2, 0]).unwrap_err().contains("percentages"));
    assert!(check(85, 80, [2, 2]).unwrap_err().contains("not above"));
}
