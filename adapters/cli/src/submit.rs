//! `jobwatch submit`.

use std::io;

use crate::args::{PolicyArgs, SubmitArgs};
use crate::failure::{Failure, is_refusal};
use crate::report::Report;
use crate::target;

/// Creates one job after another and prints each id as soon as it is known. The first create that fails ends it, since
/// it may stand for the rest.
pub(crate) async fn submit(args: &SubmitArgs) -> Result<u8, Failure> {
    let dialect = target::dialect(&args.backend.api)?;
    let body = target::body(args.body.as_deref())?;
    let policy = PolicyArgs::with_attempt_timeout(args.attempt_timeout);
    let policy = policy.apply(dialect.policy()).map_err(Failure::usage)?;
    let client =
        target::client(&args.backend, dialect, &[])?.policy(policy).build().map_err(|error| target::explain(&error))?;

    let mut report = Report::new(io::stdout().lock(), args.json);
    for created in 0..args.count {
        let jobs = client.create_raw(body.clone()).await.map_err(|error| Failure {
            status: if is_refusal(error.error) { 3 } else { 4 },
            message: match args.count {
                1 => format!("no job was created: {error}"),
                count => format!("create {} of {count} failed: {error}", created + 1),
            },
        })?;
        for job in jobs {
            report.created(job.id())?;
        }
    }
    Ok(0)
}
