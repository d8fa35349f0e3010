"""Webhook endpoints, and what was delivered to them."""

from app.api.reference.described.declared import Body, Described
from app.schemas import webhooks as requests
from app.schemas.answers import webhooks

TAG = "Webhooks"
OPERATIONS = {
    "webhook_endpoint_create": Described(
        TAG, webhooks.WebhookEndpoint, bodies=(Body(requests.CreateEndpoint),), refused=(400, 409)
    ),
    "webhook_endpoint_list": Described(TAG, webhooks.WebhookEndpointList, refused=(400,)),
    "webhook_endpoint_retrieve": Described(TAG, webhooks.WebhookEndpoint, refused=(400,)),
    "webhook_endpoint_update": Described(
        TAG, webhooks.WebhookEndpoint, bodies=(Body(requests.UpdateEndpoint, is_required=False),), refused=(400, 409)
    ),
    "webhook_endpoint_delete": Described(TAG, webhooks.WebhookEndpointDeleted, refused=(400,)),
    "webhook_endpoint_secret_rotate": Described(
        TAG, webhooks.WebhookEndpoint, bodies=(Body(requests.RotateSecret, is_required=False),), refused=(400, 409)
    ),
    "webhook_endpoint_test": Described(
        TAG, webhooks.WebhookTest, bodies=(Body(requests.TestEndpoint),), refused=(400, 409)
    ),
    "webhook_event_type_list": Described(TAG, webhooks.WebhookEventTypeList, refused=(400,)),
    "webhook_delivery_list": Described(TAG, webhooks.WebhookDeliveryList, refused=(400,)),
    "webhook_delivery_retrieve": Described(TAG, webhooks.WebhookDelivery, refused=(400,)),
    "provider_webhook": Described(TAG, is_empty=True),
    "webhook_delivery_replay": Described(
        TAG, webhooks.WebhookDelivery, bodies=(Body(requests.ReplayDelivery, is_required=False),), refused=(400, 409)
    ),
}
