//! Which site a client's requests are for: nearly always the one of the request before.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ::http::Uri;
use ::http::uri::{Authority, Scheme};

use super::respond::Trouble;
use super::target::{Site, site_of};

/// The site of one connection's last request, and room to write its URLs in.
#[derive(Debug, Default)]
pub(super) struct Sites(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    /// As requests name it; without a name it is whatever they name.
    name: Option<(Scheme, Authority)>,
    site: Site,
    /// Its origin, and behind that the path of some request.
    url: String,
    origin_len: usize,
}

impl Known {
    fn new(name: Option<(Scheme, Authority)>, site: Site) -> Self {
        let url = [site.origin.scheme.as_str(), "://", site.authority.as_str()].concat();
        Known { name, site, origin_len: url.len(), url }
    }

    fn is(&self, uri: &Uri) -> bool {
        self.name.as_ref().is_none_or(|(scheme, authority)| {
            let named = uri.authority().map_or("", Authority::as_str);
            // Most spell it as they did before; else upper case is lower case.
            (named == authority.as_str() || *authority == *named) && *uri.scheme().unwrap_or(&Scheme::HTTP) == *scheme
        })
    }
}

impl Sites {
    /// Of a connection whose requests are all for this site.
    pub(super) fn only(site: Site) -> Self {
        Sites(Mutex::new(Some(Known::new(None, site))))
    }

    /// Where a request wants to go.
    pub(super) fn of(&self, uri: &Uri) -> Result<Site, Trouble> {
        let last = self.known(uri)?;
        last.as_ref().map_or_else(|| site_of(uri), |known| Ok(known.site.clone()))
    }

    /// What `look` makes of the site of a request and its URL.
    pub(super) fn look<T>(&self, uri: &Uri, look: impl FnOnce(&Site, &str) -> Option<T>) -> Option<T> {
        let path = uri.path_and_query()?.as_str();
        let mut last = self.known(uri).ok()?;
        let Known { site, url, origin_len, .. } = last.as_mut()?;
        url.truncate(*origin_len);
        url.push_str(path);
        look(site, url)
    }

    /// What `look` makes of the last site and the URL of a target that names it as URLs do, which is looked at as text. `None` for others.
    pub(super) fn look_at_text<T>(&self, target: &str, look: impl FnOnce(&Site, &str) -> Option<T>) -> Option<T> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { name, site, url, origin_len } = last.as_mut()?;
        let path = if name.is_none() { target } else { target.strip_prefix(&url[..*origin_len])? };
        if !path.starts_with('/') {
            return None;
        }
        if name.is_some() {
            return look(site, target);
        }
        url.truncate(*origin_len);
        url.push_str(path);
        look(site, url)
    }

    /// The last site, which is the one of this request.
    fn known(&self, uri: &Uri) -> Result<MutexGuard<'_, Option<Known>>, Trouble> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.as_ref().is_some_and(|known| known.is(uri)) {
            let site = site_of(uri)?;
            let name = uri.scheme().cloned().zip(uri.authority().cloned());
            *last = Some(Known::new(name, site));
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(sites: &Sites, uri: &str) -> Option<String> {
        let uri: Uri = uri.parse().unwrap();
        sites.look(&uri, |site, url| Some(format!("{} {url}", site.origin.port)))
    }

    #[test]
    fn the_last_site_is_known_by_all_of_its_name() {
        let sites = Sites::default();
        for _ in 0..2 {
            assert_eq!(asked(&sites, "http://API.test/a?b=%41").unwrap(), "80 http://api.test/a?b=%41");
            assert_eq!(asked(&sites, "http://API.test").unwrap(), "80 http://api.test/");
            assert_eq!(asked(&sites, "https://API.test/a").unwrap(), "443 https://api.test/a");
            assert_eq!(asked(&sites, "https://api.test:80/").unwrap(), "80 https://api.test:80/");
            assert_eq!(asked(&sites, "/a"), None);
            assert_eq!(asked(&sites, "ftp://api.test/a"), None);
            let site = sites.of(&"http://u:p@other.test:8080/".parse().unwrap()).unwrap();
            assert_eq!(site.authority, "other.test:8080");
        }
        assert!(sites.of(&"/a".parse().unwrap()).is_err());
    }

    #[test]
    fn inside_a_connect_there_is_one() {
        let sites = Sites::only(site_of(&"https://api.test/".parse().unwrap()).unwrap());
        assert_eq!(asked(&sites, "/a").unwrap(), "443 https://api.test/a");
        assert_eq!(asked(&sites, "https://cdn.test/b").unwrap(), "443 https://api.test/b");
        assert_eq!(asked(&sites, "*").unwrap(), "443 https://api.test*");
    }
}
