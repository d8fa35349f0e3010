"""The management API."""

from app.api.reference.described.declared import Body, Described
from app.schemas import management as requests
from app.schemas.answers import access, money, operations

PROJECTS, KEYS, ACCOUNTS, PRICES, BUDGETS, EVENTS = "Projects", "Keys", "Accounts", "Prices", "Budgets", "Events"
NONE = Body(requests.Nothing, is_required=False)
BAD = (400, 413)
OPERATIONS = {
    "project_list": Described(PROJECTS, access.ProjectList, refused=(400,)),
    "project_create": Described(PROJECTS, access.Project, bodies=(Body(requests.CreateProject),), refused=(*BAD, 409)),
    "project_retrieve": Described(PROJECTS, access.Project),
    "project_change": Described(PROJECTS, access.Project, bodies=(Body(requests.ChangeProject),), refused=(*BAD, 409)),
    "project_archive": Described(PROJECTS, access.Project, refused=(409,)),
    "project_cancel_batches": Described(PROJECTS, access.BatchesCancelled),
    "key_list": Described(KEYS, access.KeyList, refused=(400,)),
    "key_create": Described(KEYS, access.Key, bodies=(Body(requests.CreateKey),), refused=(*BAD, 409)),
    "key_retrieve": Described(KEYS, access.Key),
    "key_update": Described(KEYS, access.Key, bodies=(Body(requests.ChangeKey),), refused=(*BAD, 409)),
    "key_revoke": Described(
        KEYS, access.Key, bodies=(Body(requests.RevokeKey, is_required=False),), refused=(*BAD, 409)
    ),
    "key_revoke_delete": Described(KEYS, access.KeyDeleted, refused=(409,)),
    "key_rotate": Described(
        KEYS, access.Key, bodies=(Body(requests.RotateKey, is_required=False),), refused=(*BAD, 409)
    ),
    "key_expire": Described(KEYS, access.Key, bodies=(NONE,), refused=(*BAD, 409)),
    "key_quota": Described(KEYS, access.KeyQuota, refused=(404,)),
    "account_list": Described(ACCOUNTS, access.AccountList, refused=(400,)),
    "account_change": Described(ACCOUNTS, access.Account, bodies=(Body(requests.ChangeAccount),), refused=(*BAD, 409)),
    "off_peak_list": Described(ACCOUNTS, operations.OffPeakList),
    "off_peak_set": Described(ACCOUNTS, operations.OffPeakList, bodies=(Body(requests.SetOffPeak),), refused=BAD),
    "pause_list": Described(ACCOUNTS, operations.PauseList, refused=(400,)),
    "pause_end": Described(ACCOUNTS, operations.PausesEnded, refused=(400, 404)),
    "price_list": Described(PRICES, money.PriceList, refused=(400,)),
    "price_set": Described(PRICES, money.Price, bodies=(Body(requests.SetPrice),), refused=(*BAD, 409)),
    "budget_list": Described(BUDGETS, money.BudgetList, refused=(400, 404)),
    "budget_set": Described(BUDGETS, money.Budget, bodies=(Body(requests.SetBudget),), refused=(*BAD, 404, 409)),
    "budget_remove": Described(BUDGETS, money.BudgetDeleted, refused=(400, 404)),
    "usage_list": Described(BUDGETS, money.UsageList, refused=(400, 404)),
    "event_list": Described(EVENTS, operations.EventList, refused=(400, 404)),
}
