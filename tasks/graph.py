"""All tasks of the graph, and the hook that watches them: what Luigi has to have imported before it runs one."""

from tasks.clean import CleanDay as CleanDay
from tasks.daily import DailyMeans as DailyMeans
from tasks.errata import LoadNotes as LoadNotes
from tasks.fetch import FetchHour as FetchHour
from tasks.forecast import Forecast as Forecast
from tasks.hourly import Backfill as Backfill
from tasks.hourly import Hourly as Hourly
from tasks.instruments import hook as hook
from tasks.load import LoadDay as LoadDay
from tasks.load import LoadStations as LoadStations
from tasks.publish import Publish as Publish
from tasks.reread import RereadMonth as RereadMonth
from tasks.score import ScoreForecasts as ScoreForecasts
from tasks.train import TrainModel as TrainModel
from tasks.verify import VerifyDocuments as VerifyDocuments
