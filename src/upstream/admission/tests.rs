//! Permits on virtual time, and with two runtimes on two threads.

use super::*;

fn interactive() -> Ask {
    Ask::default()
}

#[tokio::test(start_paused = true)]
async fn a_healthy_hosted_api_never_waits() {
    let now = Instant::now();
    let admission = Admission::new(Rule::Aimd, 1000, now);
    let mut permits = Vec::new();
    for _ in 0..500 {
        let mut permit = admission.enter(now, &interactive()).await.unwrap();
        permit.report(now, Outcome::Answered);
        permits.push(permit);
    }
    assert!(!admission.gate.see().is_attended(), "no lock was taken");
    assert_eq!(admission.gauges(now).in_flight, 500);
    drop(permits);
    assert_eq!(admission.gauges(now).in_flight, 0);
}
