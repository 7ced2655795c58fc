//! [`Paged`]: a vector in shared pages. A copy costs one pointer per page; a write
//! to a page that a copy still holds copies that page first. It is what makes an
//! immutable view of the cluster cheap while the cluster goes on changing.

use std::sync::Arc;

/// Items per page.
const PAGE: usize = 16;

/// A vector whose copies share what neither has changed.
#[derive(Clone, Debug)]
pub(crate) struct Paged<T> {
    pages: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Paged { pages: Vec::new(), len: 0 }
    }
}

impl<T: Clone + Default> Paged<T> {
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    /// The item, made first if there was none.
    pub(crate) fn at(&mut self, index: usize) -> &mut T {
        while self.len <= index {
            if self.len.is_multiple_of(PAGE) {
                self.pages.push(Arc::new(Vec::with_capacity(PAGE)));
            }
            let page = self.pages.last_mut().expect("pushed above when there was none");
            Arc::make_mut(page).push(T::default());
            self.len += 1;
        }
        &mut Arc::make_mut(&mut self.pages[index / PAGE])[index % PAGE]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_see_later_writes() {
        let mut live = Paged::<u32>::default();
        *live.at(100) = 7;
        let copy = live.clone();
        *live.at(100) = 8;
        *live.at(3) = 9;
        assert_eq!((copy.get(100), copy.get(3), copy.get(101)), (Some(&7), Some(&0), None));
        assert_eq!((live.get(100), live.get(3)), (Some(&8), Some(&9)));
        assert!(Arc::ptr_eq(&live.pages[3], &copy.pages[3]), "a page nobody wrote to is shared");
        assert!(!Arc::ptr_eq(&live.pages[0], &copy.pages[0]));
        assert_eq!(copy.iter().count(), 101);
    }
}
