"""The page of SHOP_PAYMENT=test, on which a customer plays paying."""

from http import HTTPStatus
from urllib.parse import urlsplit

from csp.constants import SELF
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from shop.database.refusal import MissingError
from shop.orders.models import Payment, PaymentProvider, PaymentStatus
from shop.payments.bank import Bank
from shop.payments.settling import settle

OUTCOMES = ([PaymentStatus.PAID], [PaymentStatus.FAILED])


# The token in the path is what another page does not know.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: HttpRequest, token: str) -> HttpResponse:
    """Show what is to be paid, or what became of it; POST decides that once, and leads back to the shop."""
    payment = get_object_or_404(Payment, token=token, provider=PaymentProvider.TEST)
    bank = Bank()
    if request.method == "POST":
        outcomes = request.POST.getlist("outcome")
        if outcomes not in OUTCOMES:
            return HttpResponseBadRequest("outcome must be paid or failed", content_type="text/plain")
        if payment.status == PaymentStatus.OPEN and bank.outcome(payment) == PaymentStatus.OPEN:
            bank.decide(payment, PaymentStatus(outcomes[0]))
        # The event has a job for this; but who comes back to the shop likes to see it.
        try:
            settle.call(payment.pk)
        except MissingError:  # its order was deleted meanwhile
            raise Http404 from None
        payment = get_object_or_404(Payment, pk=payment.pk)
    is_expired = PaymentStatus.EXPIRED in (payment.status, bank.outcome(payment))
    if request.method == "POST" and payment.return_url and not is_expired:
        return HttpResponseRedirect(payment.return_url)
    context = {"payment": payment, "is_expired": is_expired}
    status = HTTPStatus.GONE if is_expired else HTTPStatus.OK
    response = render(request, "shop/pay.html", context, status=status)
    if payment.return_url:
        # A browser asks the policy of the page also about where the form leads.
        back = urlsplit(payment.return_url)
        origin = f"{back.scheme}://{back.netloc}"
        response._csp_update = {"form-action": [SELF, origin]}  # type: ignore[attr-defined]
    return response
