//! The ingress beside nginx, asked by the same tool for the same answers from
//! the same pod.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use foreshore_testkit::process::{Process, Spec};
use foreshore_testkit::wait;
use serde_json::{Value, json};

use super::Amount;
use super::numbers::{processor_seconds, tell};
use super::restart::until_served;
use super::stage::{LIMIT, PORT, Stage};

const HOST: &str = "plain-page.local";
const NGINX: &str = "/usr/sbin/nginx";
const WRK: &str = "/usr/bin/wrk";
const SECONDS: u32 = 5;
/// Inside the ground, where nobody else listens.
const NGINX_ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 18_080);

pub(crate) async fn measure(stage: &mut Stage, amount: Amount) -> Result<()> {
    for (program, package) in [(NGINX, "nginx-light"), (WRK, "wrk")] {
        anyhow::ensure!(
            Path::new(program).exists(),
            "`{program}` is missing; install it with `apt-get install {package}`"
        );
    }
    let app = "plain-page";
    stage.open(app, HOST).await?;
    let label = |pod: &mut Value| pod["metadata"]["labels"] = json!({ "app": app });
    stage.create_pod(app, &["web", app], label).await?;
    let pod = stage.until_ready(app).await?;
    until_served(stage, HOST).await?;
    let address = pod.status.and_then(|status| status.pod_ip);
    let nginx = start_nginx(stage, &address.context("a pod has an address")?).await?;
    let agent = stage.node()?;
    let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..amount.rounds {
        let own = ask(stage, false, agent).await?;
        let other = ask(stage, true, nginx.id()).await?;
        ours.push(own);
        theirs.push(other);
        ratios.push(own / other);
    }
    drop(nginx);
    stage.remove_pods().await?;
    tell("ingress: requests per CPU-second", "requests/s", &ours);
    tell("nginx: requests per CPU-second", "requests/s", &theirs);
    tell(
        "ingress: requests per CPU-second by those of nginx",
        "x",
        &ratios,
    );
    Ok(())
}

/// Lets wrk ask for some seconds; answers the requests per second of processor
/// time of the process `pid`.
async fn ask(stage: &Stage, is_inside: bool, pid: u32) -> Result<f64> {
    let address = if is_inside {
        SocketAddr::from(NGINX_ADDRESS)
    } else {
        stage.ingress
    };
    let log = stage.folder.join("wrk.log");
    drop(std::fs::remove_file(&log));
    let mut wrk = Spec::new(WRK, &log)
        .args(["--threads", "1", "--connections", "64"])
        .args(["--duration", &format!("{SECONDS}s")])
        .args(["--header", &format!("Host: {HOST}")])
        .arg(format!("http://{address}/size/1024"));
    if is_inside {
        wrk = wrk.inside(stage.ground()?);
    }
    let before = processor_seconds(pid)?;
    let mut wrk = wrk.start()?;
    wrk.wait(LIMIT).await?;
    let spent = processor_seconds(pid)? - before;
    let said = wrk.output()?;
    anyhow::ensure!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "{said}"
    );
    let line = said.lines().find(|line| line.contains(" requests in "));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number: f64 = number.context("wrk tells its requests")?.parse()?;
    Ok(number / spent)
}

async fn start_nginx(stage: &Stage, pod: &str) -> Result<Process> {
    let folder = stage.folder.join("nginx");
    std::fs::create_dir_all(&folder).context("cannot make a folder for nginx")?;
    let place = folder.display();
    let (address, port) = NGINX_ADDRESS;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {place}/{kind};\n"))
        .concat();
    let text = format!(
        "worker_processes 1;\npid {place}/pid;\nerror_log {place}/error.log;\nuser root;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n{temporary}\
         \x20 access_log off;\n  keepalive_requests 100000000;\n\
         \x20 upstream pods {{ server {pod}:{PORT}; keepalive 128; keepalive_requests 100000000; }}\n\
         \x20 server {{\n    listen {address}:{port};\n    location / {{\n\
         \x20     proxy_pass http://pods;\n      proxy_http_version 1.1;\n\
         \x20     proxy_set_header Connection \"\";\n      proxy_set_header Host $host;\n\
         \x20   }}\n  }}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text).context("cannot write nginx.conf")?;
    let mut nginx = Spec::new(NGINX, folder.join("output.log"))
        .arg("-c")
        .arg(&file)
        .args(["-g", "daemon off;"])
        .inside(stage.ground()?)
        .start()?;
    let ground = stage.ground()?.clone();
    let limit = Duration::from_secs(1);
    wait::until("nginx to listen", LIMIT, || async {
        ground.connect(NGINX_ADDRESS.into(), limit).await.is_ok()
    })
    .await?;
    nginx.must_run()?;
    Ok(nginx)
}
