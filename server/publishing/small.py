"""Numbers of patients that are too small to be published, and where a study declares them."""

from common.study import Study
from server.page.epsilon import FEWEST

WITHHELD = f"not told here: the reason names a declared number of patients below {FEWEST}"


def declares_few(study: Study) -> bool:
    """Whether the study declares fewer than FEWEST patients, of a site or of a class."""
    sizes = [site.patients for site in study.sites if site.patients]
    classes = [n for site in study.sites for pair in site.classes.values() for n in pair]
    return any(n < FEWEST for n in (*sizes, *classes))


def reason(study: Study, text: str) -> str:
    """Return a reason as it may be told: reasons name declared numbers."""
    return WITHHELD if text and declares_few(study) else text
