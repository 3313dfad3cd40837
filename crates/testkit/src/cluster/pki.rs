//! Certificates of a test control plane, made anew for each.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::real::ADVERTISED;

/// A certificate authority and the folder its files are written to.
#[derive(Debug)]
pub(super) struct Authority {
    folder: PathBuf,
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Authority {
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).context("cannot make the folder of the certificates")?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params
            .distinguished_name
            .push(DnType::CommonName, "foreshore test authority");
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        fs::write(folder.join("ca.key"), key.serialize_pem())?;
        fs::write(folder.join("ca.crt"), certificate.pem())?;
        Ok(Self {
            folder,
            certificate,
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority's own certificate and key.
    pub(super) fn pair(&self) -> Pair {
        self.files("ca")
    }

    pub(super) fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate the API server shows, on the host's loopback too.
    pub(super) fn server(&self) -> Result<Pair> {
        let names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ];
        let mut params = CertificateParams::new(names.map(str::to_owned))?;
        for address in [ADVERTISED, [127, 0, 0, 1].into(), [10, 96, 0, 1].into()] {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign("apiserver", "kube-apiserver", None, params)
    }

    /// A certificate that makes its holder `user`, in `group`.
    pub(super) fn client(&self, file: &str, user: &str, group: Option<&str>) -> Result<Pair> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(file, user, group, params)
    }

    /// A key without certificate, for signing service account tokens.
    pub(super) fn signing_key(&self) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let files = Pair {
            certificate: self.folder.join("sa.pub"),
            key: self.folder.join("sa.key"),
        };
        fs::write(&files.certificate, key.public_key_pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }

    fn sign(
        &self,
        file: &str,
        name: &str,
        group: Option<&str>,
        mut params: CertificateParams,
    ) -> Result<Pair> {
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files = self.files(file);
        fs::write(&files.certificate, certificate.pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }

    fn files(&self, name: &str) -> Pair {
        Pair {
            certificate: self.folder.join(format!("{name}.crt")),
            key: self.folder.join(format!("{name}.key")),
        }
    }
}
